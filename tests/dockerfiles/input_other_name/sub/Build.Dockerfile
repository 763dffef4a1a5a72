FROM busybox
COPY f /
