# The smoke test of `helm test` (bench/src/smoke).
#   docker build --file docker/sfu-smoke.Dockerfile --tag sfumato/sfu-smoke .
# By version: its digest changes with each update of the distribution. Of it, glibc, libgcc and certificates get into the image.
FROM docker.io/library/rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# One profile everywhere (docs/building.md): dev, with optimisation.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target,id=sfu-smoke \
    CARGO_TARGET_DIR=/target cargo build --locked --package sfu-bench --bin sfu-smoke </dev/null && \
    docker/gather.sh /target/debug/sfu-smoke /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/usr/bin/sfu-smoke"]
