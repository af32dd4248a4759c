# The front door and its page.
#   docker build --file docker/sfu-web.Dockerfile --tag sfumato/sfu-web .
# By version: its digest changes with each update of the distribution. Of it, glibc, libgcc and certificates get into the image.
FROM docker.io/library/rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# One profile everywhere (docs/building.md): dev, with optimisation.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target,id=sfu-web \
    CARGO_TARGET_DIR=/target cargo build --locked --package sfu-web </dev/null && \
    docker/gather.sh /target/debug/sfu-web /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/usr/bin/sfu-web"]
