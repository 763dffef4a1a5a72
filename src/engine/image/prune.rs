//! Removes images that nothing names.

use super::super::Engine;
use super::super::error::Result;
use super::Removed;

impl Engine {
    /// Removes the images without a name; with `all`, every image that no container
    /// was made from. Content goes with the next sweep.
    ///
    /// # Errors
    /// `in_use`, `os`; what was removed before stays removed.
    pub fn image_prune(&self, all: bool) -> Result<Vec<Removed>> {
        let used: Vec<_> = self.container_list()?.into_iter().filter_map(|listed| listed.record.image_id).collect();
        let wanted =
            self.image_list()?.into_iter().filter(|image| (all || image.names.is_empty()) && !used.contains(&image.id));
        let removed = wanted.map(|image| self.remove_names(&image.id.to_string(), true)).collect::<Result<_>>()?;
        self.sweep()?;
        Ok(removed)
    }
}
