//! What can be typed next, from the rows.

use super::api::Function;
use super::install::Api;

impl Api {
    /// Names of the options of a function or method, given its full name or the bare name of a method.
    pub fn option_keys(&self, name: &str) -> Vec<&'static str> {
        let method = name.rsplit(':').next().filter(|_| name.contains(':'));
        let rows: Vec<&Function> = match (self.function(name), method) {
            (Some((_, row)), _) => vec![row],
            (None, Some(method)) => {
                let methods = self.classes.iter().flat_map(|class| &class.methods);
                methods.filter(|row| row.name == method).collect()
            }
            (None, None) => Vec::new(),
        };
        let mut keys: Vec<_> = rows.iter().flat_map(|row| row.options.iter().map(|option| option.name)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Names of the fields (first) and methods of a class.
    pub fn members(&self, class: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        match self.class(class) {
            Some(class) => (
                class.fields.iter().map(|field| field.param.name).collect(),
                class.methods.iter().map(|row| row.name).collect(),
            ),
            None => (Vec::new(), Vec::new()),
        }
    }
}
