//! Steps that change a state's configuration and nothing else: they cost nothing and need no cache.

use super::super::error::Result;
use super::super::image::settings::apply;
pub use super::super::image::settings::{Setting, join_workdir};
use super::State;

impl State {
    /// The state with one setting changed.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed port, path or name.
    pub fn set(&self, setting: &Setting) -> Result<State> {
        let mut config = self.0.config.clone();
        let history = apply(&mut config.config, setting)?;
        let key = self.key_after("config", &config.config)?;
        let next = self.after(key, None, None, history.clone(), history);
        let mut changed = next.0.config.clone();
        changed.config = config.config;
        Ok(State::make(key, next.0.layers.clone(), changed, next.0.step.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_change_the_key_and_only_what_they_say() {
        let base = State::scratch();
        let one = base.set(&Setting::Env(vec![("A".into(), Some("1".into()))])).unwrap();
        let two = one.set(&Setting::Env(vec![("A".into(), Some("2".into())), ("B".into(), Some("".into()))])).unwrap();
        assert_eq!(two.config().config.env, ["A=2", "B="]);
        assert!(one.key() != two.key() && one.key() != base.key());
        assert_eq!(base.set(&Setting::Env(vec![("A".into(), Some("1".into()))])).unwrap(), one);
        let entry = one
            .set(&Setting::Cmd(Some(vec!["x".into()])))
            .unwrap()
            .set(&Setting::Entrypoint(Some(vec!["/app".into()])))
            .unwrap();
        assert_eq!(entry.config().config.cmd, None);
        let ports = base.set(&Setting::Expose(vec!["80".into(), "53/udp".into()])).unwrap();
        assert_eq!(ports.config().config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert!(base.set(&Setting::Expose(vec!["0".into()])).is_err());
        assert_eq!(two.config().history.len(), 2);
        assert!(two.config().history[1].empty_layer);
    }
}
