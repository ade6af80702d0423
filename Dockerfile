# The build stage makes the two programs; the final image holds them and their libraries alone.
FROM debian:12-slim AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc g++ meson ninja-build pkg-config libmicrohttpd-dev libjansson-dev libuv1-dev \
        libopenblas-pthread-dev libsqlite3-dev libzip-dev nettle-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN meson setup /build --buildtype=release --prefix=/usr -Dtests=disabled \
    && ninja -C /build \
    && DESTDIR=/out meson install -C /build --no-rebuild

FROM debian:12-slim
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libmicrohttpd12 libjansson4 libuv1 libopenblas0-pthread libsqlite3-0 libzip4 libnettle8 \
        libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 -m 0700 /data
COPY --from=build /out/usr/bin/ /usr/bin/
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/usr/bin/advectd", "--healthcheck"]
ENTRYPOINT ["/usr/bin/advectd", "--listen", "0.0.0.0:8080", "--data-dir", "/data"]
