//! Steps that change a state's configuration and nothing else: they cost nothing and need no cache.

use super::super::error::Result;
use super::super::image::settings::apply;
pub use super::super::image::settings::{Setting, Unset, join_workdir};
use super::State;
use super::cache::{Manner, Operation};

impl State {
    /// The state with one setting changed. One that changes nothing leaves the key as it is.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed port, path or name.
    pub fn set(&self, setting: &Setting, manner: &Manner) -> Result<State> {
        let mut config = self.0.config.config.clone();
        let words = apply(&mut config, setting)?;
        let operation = Operation::new("config", &config, words, manner)?;
        let key = if config == self.0.config.config { self.0.key } else { self.key_after(&operation) };
        Ok(self.after(key, None, operation).with_config(key, config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_the_key_and_only_what_they_say() {
        let base = State::scratch();
        let one = base.set(&Setting::Env(vec![("A".into(), Some("1".into()))]), &Manner::default()).unwrap();
        let two = one
            .set(&Setting::Env(vec![("A".into(), Some("2".into())), ("B".into(), Some("".into()))]), &Manner::default())
            .unwrap();
        assert_eq!(two.config().config.env, ["A=2", "B="]);
        assert!(one.key() != two.key() && one.key() != base.key());
        assert_eq!(base.set(&Setting::Env(vec![("A".into(), Some("1".into()))]), &Manner::default()).unwrap(), one);
        let again = one.set(&Setting::Env(vec![("A".into(), Some("1".into()))]), &Manner::default()).unwrap();
        assert_eq!(again, one);
        assert_eq!(again.config().history.len(), 2);
        let entry = one
            .set(&Setting::Cmd(Some(vec!["x".into()])), &Manner::default())
            .unwrap()
            .set(&Setting::Entrypoint(Some(vec!["/app".into()])), &Manner::default())
            .unwrap();
        assert_eq!(entry.config().config.cmd, None);
        let ports = base.set(&Setting::Expose(vec!["80".into(), "53/udp".into()]), &Manner::default()).unwrap();
        assert_eq!(ports.config().config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert!(base.set(&Setting::Expose(vec!["0".into()]), &Manner::default()).is_err());
        assert_eq!(two.config().history.len(), 2);
        assert!(two.config().history[1].empty_layer);
    }
}
