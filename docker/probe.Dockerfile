# What the cluster's own tests run in pods (test/cluster/cmd/probe).
FROM docker.io/library/golang:1.26.8 AS build
COPY test/cluster/cmd/probe/main.go /source/
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /probe /source/main.go

FROM scratch
COPY --from=build /probe /usr/bin/probe
USER 65532:65532
ENTRYPOINT ["/usr/bin/probe"]
