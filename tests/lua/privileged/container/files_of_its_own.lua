-- /etc/hosts, /etc/hostname, /etc/resolv.conf and the host name belong to each container.
local check = require "check"
local img = check.busybox()
check.same(check.out(img, "hostname; cat /etc/hostname; grep -c moon.lan /etc/hosts", { hostname = "moon.lan" }), "moon.lan\nmoon.lan\n1")
check.same(check.out(img, "hostname | wc -c; grep -c \"$(hostname)$\" /etc/hosts"), "13\n1")
check.same(check.out(img, "grep ^192 /etc/hosts", { extra_hosts = { db = "192.0.2.7" } }), "192.0.2.7\tdb")
check.same(check.out(img, "cat /etc/resolv.conf", { dns = { "192.0.2.53", "2001:db8::53" } }), "nameserver 192.0.2.53\nnameserver 2001:db8::53")
check.same(check.out(img, "cat /etc/resolv.conf"), "", "no network, no name servers")
check.same(check.out(img, "cat /etc/resolv.conf", { network = "host" }) .. "\n", fs.read "/etc/resolv.conf")
-- they can be written, and the image does not change
check.same(check.out(img, "echo more >> /etc/hosts && tail -n 1 /etc/hosts"), "more")
check.same(build.from(img):exists "/etc/hosts", false)
-- mistakes
check.fails("invalid_argument", "invalid host name 'a b'", "use letters, digits, '-', '.' and '_', at most 64", container.run, img, "true", { hostname = "a b" })
check.fails("invalid_argument", "invalid host name 'a\\nb'", "use letters, digits, '-', '.' and '_', at most 64", container.run, img, "true", { hostname = "a\nb" })
check.fails("invalid_argument", "invalid address 'nowhere' for host 'db'", 'write it as NAME = "192.0.2.1"', container.run, img, "true", { extra_hosts = { db = "nowhere" } })
check.fails("invalid_argument", "invalid name server 'nowhere': expected an IP address", nil, container.run, img, "true", { dns = { "nowhere" } })
-- network
check.same(check.out(img, "ls /sys/class/net"), "lo")
check.same(check.out(img, "ping -c 1 -w 5 127.0.0.1 >/dev/null && echo up"), "up")
check.same(check.out(img, "ls /sys/class/net", { network = "host" }), host.out "ls /sys/class/net")
