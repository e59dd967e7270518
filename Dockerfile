# The image of a node: docker build -t shoalmq .
# BUILD_IMAGE has Rust and a C compiler; BASE_IMAGE needs no more than the C library, and has no shell.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# The data folder is made here, where there are programs to do so.
RUN cargo build --release --locked --bin shoalmq \
 && mkdir -p /out/bin /out/data \
 && cp target/release/shoalmq /out/bin/

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="ShoalMQ" \
      org.opencontainers.image.description="A job queue that does not lose work" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out/bin/shoalmq /usr/local/bin/shoalmq
COPY deploy/image/shoalmq.conf /etc/shoalmq/shoalmq.conf
COPY --from=build --chown=65532:65532 /out/data /var/lib/shoalmq
# By number: Kubernetes cannot tell by a name that it is not root.
USER 65532:65532
WORKDIR /var/lib/shoalmq
VOLUME /var/lib/shoalmq
# Clients, HTTP, and other nodes: TCP and UDP.
EXPOSE 7711 8711 17711 17711/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=15m --retries=3 \
  CMD ["/usr/local/bin/shoalmq", "health", "live"]
ENTRYPOINT ["/usr/local/bin/shoalmq"]
CMD ["server", "/etc/shoalmq/shoalmq.conf"]
