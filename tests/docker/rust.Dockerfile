# Stands for the image in which docker/Dockerfile compiles, where none can be pulled: Debian with what
# Docker's own rust:*-slim has, and the toolchain that lies in the context.
FROM debian:bookworm-slim
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /
# Where crates cannot be had, this says so before anything is compiled.
RUN cargo info --quiet bytes
