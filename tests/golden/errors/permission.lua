fs.remove("/proc/version")
