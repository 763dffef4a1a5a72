FROM busybox
COPY src /c
