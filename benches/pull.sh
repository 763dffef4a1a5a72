#!/bin/sh
# A layer of 206 MB in thousands of files, gzipped, from a registry on loopback into an empty store, unpacked.
# Compared with tar, which unpacks the blob that is already here. Every run writes into a fresh folder, and all are
# deleted at the end: a deletion between runs would still be going on in the file system during the next one.
. "$(dirname -- "$0")/lib.sh"

installed docker-registry skopeo || exit 0
runs=${BENCH_RUNS:-5}
layout="$work/layout"
blobs="$layout/blobs/sha256"
mkdir -p "$blobs"

# Files from all over /usr, as evenly chosen as it takes for 206 MB; the same on every run on one machine.
find /usr/bin /usr/lib /usr/share -xdev -type f -links 1 -size -8192k ! -path '*
*' -printf '%s %p\n' | LC_ALL=C sort -k 2 >"$work/all"
awk -v wanted=206000000 '
    NR == FNR { total += $1; next }
    { share += wanted / total; if (share >= 1) { share -= 1; sub(/^[0-9]+ \//, ""); print } }
' "$work/all" "$work/all" >"$work/files"
tar -C / --no-recursion --no-unquote --mtime=@0 --owner=0 --group=0 -cf "$work/layer.tar" -T "$work/files"
gzip -6 -n -c "$work/layer.tar" >"$work/layer.tar.gz"

# blob FILE: moves it into the layout; sets $digest and $size.
blob() {
    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    size=$(stat -c %s "$1")
    mv "$1" "$blobs/$digest"
}
diff_id=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
megabytes="$(($(stat -c %s "$work/layer.tar") / 1000000)) MB"
rm "$work/layer.tar"
blob "$work/layer.tar.gz"
layer=$digest layer_size=$size
title="pull: a layer of $((size / 1000000)) MB gzip, $megabytes tar, $(wc -l <"$work/files") files"

echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
gz=application/vnd.oci.image.layer.v1.tar+gzip
entries=
# One image for each of docker's runs, told apart by a tiny first layer: docker's store cannot be fresh, but it fetches
# and unpacks a layer anew when what lies below it differs. The others pull the first image, into a fresh store.
number=0
while [ $number -le "$runs" ]; do
    echo "$number" >"$work/number"
    tar -C "$work" --mtime=@0 --owner=0 --group=0 -cf "$work/tiny.tar" number
    tiny_id=$(sha256sum "$work/tiny.tar" | cut -d ' ' -f 1)
    gzip -n "$work/tiny.tar"
    blob "$work/tiny.tar.gz"
    tiny="{\"mediaType\":\"$gz\",\"digest\":\"sha256:$digest\",\"size\":$size}"
    printf '{"architecture":"%s","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s","%s"]}}' \
        "$(case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac)" \
        "sha256:$tiny_id" "sha256:$diff_id" >"$work/config"
    blob "$work/config"
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":%s},"layers":[%s,%s]}' \
        application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.config.v1+json "sha256:$digest" "$size" \
        "$tiny" "{\"mediaType\":\"$gz\",\"digest\":\"sha256:$layer\",\"size\":$layer_size}" >"$work/manifest"
    blob "$work/manifest"
    entries="$entries${entries:+,}{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",
        \"digest\":\"sha256:$digest\",\"size\":$size,
        \"annotations\":{\"org.opencontainers.image.ref.name\":\"$number\"}}"
    number=$((number + 1))
done
echo "{\"schemaVersion\":2,\"manifests\":[$entries]}" >"$layout/index.json"

port=$(shuf -i 20000-29999 -n 1)
cat >"$work/registry.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:$port"}
END
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids="$pids $!"
wait_until 10 grep -q ":$(printf %04X "$port") 00000000:0000 0A" /proc/net/tcp /proc/net/tcp6 ||
    fail "docker-registry does not start: $(tail -n 1 "$work/registry.log")"
image="127.0.0.1:$port/big"
number=0
while [ $number -le "$runs" ]; do
    skopeo copy -q --dest-tls-verify=false "oci:$layout:$number" "docker://$image:$number"
    number=$((number + 1))
done

# Puts an empty folder at $work/fresh.
cat >"$work/bin/fresh" <<END
#!/bin/sh
umount -l $work/fresh/podman/overlay 2>/dev/null
[ ! -e $work/fresh ] || mv $work/fresh "\$(mktemp -d $work/used.XXXXXX)/"
mkdir $work/fresh
sync
END
cat >"$work/bin/docker-pull" <<END
#!/bin/sh
read -r number <$work/next
echo \$((number + 1)) >$work/next
exec docker pull -q $image:\$number
END
chmod +x "$work/bin/fresh" "$work/bin/docker-pull"

set -- -n moonshell "$MOONSHELL --root $work/fresh --progress none -e 'image.pull(\"$image:0\")'"
set -- "$@" -n tar "tar -xzf $blobs/$layer -C $work/fresh"
if podman_ready podman; then
    pull="podman --root $work/fresh/podman --runroot $work/fresh/run --tmpdir $work/fresh/tmp"
    pull="$pull --storage-driver overlay pull -q --tls-verify=false $image:0"
    if "$work/bin/fresh" && works podman $pull; then set -- "$@" -n podman "$pull"; fi
fi
if docker_ready; then
    docker_images=$(seq -f "$image:%g" 0 "$runs")
    if works docker docker pull -q "$image:0"; then
        echo 1 >"$work/next"
        set -- "$@" -n docker "$work/bin/docker-pull"
    fi
fi
measure "$title" "$runs" 1 "tar 1" -N --prepare "$work/bin/fresh" "$@"
