"""The container, and compose.yml: built and run by buildah and podman, as root.

``python -m tests.containers`` (``make container-test``) needs buildah, podman, crun and mmdebstrap.
No image is fetched: the base is a Debian that mmdebstrap makes, with the wheels of this machine's
index, and its HAProxy, Prometheus and Redis stand for those that compose.yml names. Each service
runs with what compose.yml says of it.
"""
