# The media node. Building compiles mediasoup's C++ worker, 10 to 14 minutes on two cores.
#   docker build --file docker/sfu-node.Dockerfile --tag sfumato/sfu-node .
# By version: its digest changes with each update of the distribution. Of it, glibc, libgcc and certificates get into the image.
FROM docker.io/library/rust:1.95.0-bookworm AS build
WORKDIR /source
# The distribution's security updates are wanted, so no versions are pinned.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends dpkg-dev flatbuffers-compiler libflatbuffers-dev libuv1-dev ninja-build python3-pip python3-venv && \
    rm -rf /var/lib/apt/lists/*
# The parts that `make setup` takes too, with an OpenSSL that has its security fixes (docs/building.md). A layer of their own: they change seldom.
COPY third-party third-party
RUN third-party/prepare.sh /third-party offline
COPY . .
# One profile everywhere (docs/building.md): dev, with optimisation.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target,id=sfu-node \
    CARGO_TARGET_DIR=/target cargo build --config /third-party/third-party.toml --locked --package sfu-node </dev/null && \
    SFUMATO_THIRD_PARTY_SOURCES=/third-party docker/gather.sh /target/debug/sfu-node /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/usr/bin/sfu-node"]
