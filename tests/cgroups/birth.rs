//! Processes that are born in a control group, and what one costs.

use super::*;

/// The C library's constant has too few bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks a process that enters a cgroup at once, and waits in it for an event.
#[allow(unsafe_code)]
fn born_in(joining: &Joining, event: &impl AsFd) -> Pid {
    // SAFETY: zeros are valid for these numbers.
    let mut arguments = libc::clone_args { exit_signal: libc::SIGCHLD as u64, ..unsafe { std::mem::zeroed() } };
    if let Some(folder) = &joining.v2 {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = folder.as_raw_fd() as u64;
    }
    // SAFETY: the child calls nothing but write, read and _exit, which need no lock another thread may hold.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    if pid == 0 {
        let failed = joining.v1.iter().any(|tasks| rustix::io::write(tasks, b"0") != Ok(1));
        if !failed {
            let _ = rustix::io::read(event, &mut [0; 8]);
        }
        // SAFETY: it does not return.
        unsafe { libc::_exit(i32::from(failed)) }
    }
    Pid::from_raw(pid as i32).expect("clone3")
}

#[test]
fn a_process_is_born_in() {
    privileged!();
    let made = make("join", "{}");
    let joining = made.cgroup.join().unwrap();
    assert_eq!(cgroups::host() == Host::V2, joining.v2.is_some());
    assert_eq!(cgroups::host() == Host::V1, !joining.v1.is_empty());
    // An event that never comes.
    let never = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let pid = born_in(&joining, &never);
    let deadline = Instant::now() + Duration::from_secs(10);
    // There is no event for it either.
    while folders(&made.path).iter().any(|folder| fs::read_to_string(folder.join("cgroup.procs")).unwrap().is_empty()) {
        assert!(Instant::now() < deadline, "it did not enter everywhere");
    }
    assert_eq!(made.cgroup.processes().unwrap(), [pid]);
    made.cgroup.kill_all().unwrap();
    let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.terminating_signal(), Some(9));
    assert_eq!(made.cgroup.processes().unwrap(), []);
}

/// `cargo test --test cgroups cost -- --ignored --nocapture` shows it; the rest of the tests would disturb it.
#[test]
#[ignore = "a measurement"]
fn what_a_cgroup_costs() {
    privileged!();
    let rules = serde_json::to_string(&cgroups::default_devices()).unwrap();
    let limits = r#""memory": {"limit": 67108864}, "pids": {"limit": 20}, "cpu": {"quota": 50000, "period": 100000}"#;
    let kinds = [
        ("nothing", "{}".to_string()),
        ("limits", format!("{{{limits}}}")),
        ("devices", format!(r#"{{"devices": {rules}}}"#)),
        ("both", format!(r#"{{{limits}, "devices": {rules}}}"#)),
    ];
    for (name, json) in kinds {
        let (path, resources) = (path("cost"), resources(&json));
        let mut times: [Vec<u128>; 6] = Default::default();
        for _ in 0..200 {
            let mut at = Instant::now();
            let mut lap = |times: &mut Vec<u128>| {
                times.push(at.elapsed().as_nanos());
                at = Instant::now();
            };
            let cgroup = Cgroup::create(&path, &resources).unwrap();
            lap(&mut times[0]);
            let joining = cgroup.join().unwrap();
            lap(&mut times[1]);
            let ready = rustix::event::eventfd(
                2,
                rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::SEMAPHORE,
            )
            .unwrap();
            let wait = |pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
            let outside = Joining::default();
            lap(&mut Vec::new());
            wait(born_in(&outside, &ready));
            lap(&mut times[2]);
            wait(born_in(&joining, &ready));
            lap(&mut times[3]);
            cgroup.kill_all().unwrap();
            lap(&mut times[4]);
            cgroup.remove().unwrap();
            lap(&mut times[5]);
        }
        let medians = times.map(|mut list| {
            list.sort_unstable();
            (list[list.len() / 2] / 1000, list[list.len() * 9 / 10] / 1000)
        });
        let names = ["create", "open to join", "a child outside", "a child inside", "kill_all", "remove"];
        println!("{name}: {:?} (median, 90 of 100, in us)", names.iter().zip(medians).collect::<Vec<_>>());
    }
}
