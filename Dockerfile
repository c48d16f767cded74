# syntax=docker/dockerfile:1

# The slim image has gcc and libc6-dev, all the C that aws-lc and SQLite ask for.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# A cache mount is not part of the image, so the binary is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin chancery \
    && cp target/release/chancery /chancery \
    && mkdir -p /state/data \
    && mkdir -m 700 /state/keys

# glibc rather than a static musl build: hashing and signing on many threads would wait for musl's one allocator
# lock, and Debian 12 here is the builder's own. There is no shell or package manager, but CA certificates.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /chancery /usr/local/bin/chancery
COPY --from=build --chown=65532:65532 /state /var/lib/chancery
WORKDIR /var/lib/chancery
VOLUME ["/var/lib/chancery/data", "/var/lib/chancery/keys"]
# By number, so that an orchestrator can tell that it is not root.
USER 65532:65532
ENV CHANCERY_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/chancery", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/chancery"]
CMD ["serve"]
