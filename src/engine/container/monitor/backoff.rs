//! Whether a container that ended is started again, and when.

use std::time::Duration;

use super::super::options::Restart;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(60);
/// A run that lasted this long was good: waiting begins anew.
const GOOD: Duration = Duration::from_secs(10);

/// The waits of one container.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
    // Failures in a row.
    failures: u32,
}

impl Backoff {
    /// How long to wait before the next start; `None` when it stays ended. `lasted` is how long it ran.
    pub fn next(&mut self, policy: Restart, exit_code: i32, stopped: bool, lasted: Duration) -> Option<Duration> {
        if lasted >= GOOD {
            *self = Backoff::default();
        }
        let again = match policy {
            _ if stopped => false,
            Restart::No => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure(most) => exit_code != 0 && (most == 0 || self.failures < most),
        };
        if !again {
            return None;
        }
        self.failures += 1;
        let wait = self.last.map_or(FIRST, |last| (last * 2).min(LONGEST));
        self.last = Some(wait);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let mut next =
            |lasted| backoff.next(Restart::Always, 0, false, Duration::from_secs(lasted)).unwrap().as_millis();
        assert_eq!([next(0), next(0), next(0)], [100, 200, 400]);
        assert_eq!((0..10).map(|_| next(0)).last(), Some(60_000));
        assert_eq!(next(10), 100);
    }

    #[test]
    fn policies() {
        let second = Duration::from_secs(1);
        let mut three = Backoff::default();
        let tries = (0..9).take_while(|_| three.next(Restart::OnFailure(3), 1, false, second).is_some()).count();
        assert_eq!(tries, 3);
        assert!(Backoff::default().next(Restart::OnFailure(0), 0, false, second).is_none());
        assert!(Backoff::default().next(Restart::Always, 0, true, second).is_none());
        assert!(Backoff::default().next(Restart::No, 1, false, second).is_none());
    }
}
