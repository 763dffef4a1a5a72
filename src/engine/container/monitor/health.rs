//! Health checks: when the next one is due, what came of the last ones.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::super::options::Health;
use super::super::record::{HealthState, Probe, Time};

/// How much of a check's output is kept, in bytes.
const OUTPUT_BYTES: usize = 4096;
/// How many checks are remembered.
const REMEMBERED: usize = 5;
/// Any longer span is as good as this one, which the clock can still count.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The checks of one run of a container.
pub struct Checks {
    plan: Health,
    began: Instant,
    next: Instant,
    running: Option<Running>,
    /// How the container is.
    pub state: HealthState,
}

/// A check that is under way.
struct Running {
    output: Option<OwnedFd>,
    text: Vec<u8>,
    start: Time,
    deadline: Instant,
    late: bool,
}

impl Checks {
    /// Begins with the container's program.
    pub fn new(plan: &Health) -> Checks {
        let began = Instant::now();
        let state = HealthState { status: "starting".into(), ..HealthState::default() };
        let mut plan = plan.clone();
        for span in [&mut plan.interval, &mut plan.timeout, &mut plan.start_period, &mut plan.start_interval] {
            *span = (*span).min(LONGEST);
        }
        let mut checks = Checks { plan, began, next: began, running: None, state };
        checks.next = began + checks.pause();
        checks
    }

    /// The vector to run.
    pub fn argv(&self) -> &[String] {
        &self.plan.argv
    }

    fn in_start_period(&self) -> bool {
        self.state.status == "starting" && self.began.elapsed() < self.plan.start_period
    }

    fn pause(&self) -> Duration {
        if self.in_start_period() { self.plan.start_interval.min(self.plan.interval) } else { self.plan.interval }
    }

    /// When something is due: the next check, or the end of one that takes too long.
    pub fn due(&self) -> Option<Instant> {
        match &self.running {
            Some(running) if running.late => None,
            Some(running) => Some(running.deadline),
            None => Some(self.next),
        }
    }

    /// True when a check is to be started now.
    pub fn wants_start(&self) -> bool {
        self.running.is_none() && Instant::now() >= self.next
    }

    /// True, once, when the running check takes too long.
    pub fn is_late(&mut self) -> bool {
        match &mut self.running {
            Some(running) if !running.late && Instant::now() >= running.deadline => {
                running.late = true;
                true
            }
            _ => false,
        }
    }

    /// A check was started; its output can be read from there.
    pub fn started(&mut self, output: OwnedFd) {
        let _ = rustix::io::ioctl_fionbio(&output, true);
        let deadline = Instant::now() + self.plan.timeout;
        self.running =
            Some(Running { output: Some(output), text: Vec::new(), start: Time::now(), deadline, late: false });
    }

    /// Where the running check's output comes from.
    pub fn output(&self) -> Option<&OwnedFd> {
        self.running.as_ref().and_then(|running| running.output.as_ref())
    }

    /// Takes some of that.
    pub fn take_output(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(fd) = &running.output else { return };
        let mut buffer = [0; 4096];
        match rustix::io::read(fd, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => running.output = None,
            Ok(count) => {
                let room = OUTPUT_BYTES.saturating_sub(running.text.len());
                running.text.extend_from_slice(&buffer[..count.min(room)]);
            }
        }
    }

    /// The running check has ended. True when the container's health changed by it.
    pub fn ended(&mut self, exit_code: i32, failure: Option<&str>) -> bool {
        self.take_output();
        let nothing =
            || Running { output: None, text: Vec::new(), start: Time::now(), deadline: self.next, late: false };
        let running = self.running.take().unwrap_or_else(nothing);
        let before = self.state.status.clone();
        let (exit_code, output) = match (running.late, failure) {
            (true, _) => (-1, format!("the check took longer than {:?}", self.plan.timeout)),
            (false, Some(why)) => (exit_code, why.to_string()),
            (false, None) => (exit_code, String::from_utf8_lossy(&running.text).into_owned()),
        };
        if exit_code == 0 {
            (self.state.failing, self.state.status) = (0, "healthy".into());
        } else if !self.in_start_period() {
            self.state.failing += 1;
            if self.state.failing >= self.plan.retries {
                self.state.status = "unhealthy".into();
            }
        }
        self.state.log.push(Probe { start: running.start, end: Time::now(), exit_code, output });
        let excess = self.state.log.len().saturating_sub(REMEMBERED);
        self.state.log.drain(..excess);
        self.next = Instant::now() + self.pause();
        before != self.state.status
    }

    /// Nothing is due for a while: the container is frozen.
    pub fn postpone(&mut self) {
        self.next = Instant::now() + self.pause();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(retries: u32, start_period: u64) -> Checks {
        let second = Duration::from_secs(1);
        Checks::new(&Health {
            argv: vec!["true".into()],
            interval: second,
            timeout: second,
            retries,
            start_period: Duration::from_secs(start_period),
            start_interval: second,
        })
    }

    fn probe(checks: &mut Checks, code: i32) -> String {
        let (output, _) = rustix::pipe::pipe().unwrap();
        checks.started(output);
        checks.ended(code, None);
        checks.state.status.clone()
    }

    #[test]
    fn failures_in_a_row_count_and_one_success_clears_them() {
        let mut checks = checks(2, 0);
        let seen: Vec<String> = [1, 0, 1, 1, 0].map(|code| probe(&mut checks, code)).into();
        assert_eq!(seen, ["starting", "healthy", "healthy", "unhealthy", "healthy"]);
        assert_eq!(checks.state.log.len(), 5);
    }

    #[test]
    fn failures_at_the_start_do_not_count() {
        let mut checks = checks(1, 60);
        assert_eq!(probe(&mut checks, 1), "starting");
        assert_eq!(checks.state.failing, 0);
        assert_eq!(probe(&mut checks, 0), "healthy");
        assert_eq!(probe(&mut checks, 1), "unhealthy");
    }
}
