//! Copying out of a state: what is asked for is gathered in a work area, by hard links to the layers, and copied from
//! there by the same rules as out of a container.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use super::super::Engine;
use super::super::container::files::{self, CopyOptions};
use super::super::error::{Error, OsContext, Result};
use super::super::inroot::Root;
use super::super::layer::LayerMeta;
use super::super::rootfs::view::View;
use super::State;

impl State {
    /// Copies a file or folder to the host. Links in the state lead nowhere but inside it; below the target none is
    /// followed.
    ///
    /// # Errors
    /// `not_found` for a missing source or folder; `invalid_argument` where a folder would take the place of something
    /// else or the other way round; `unsupported` for devices; `permission`, `interrupted`, `os`. What was copied
    /// whole by then remains.
    pub fn copy_out(&self, engine: &Engine, source: &str, target: &Path, options: &CopyOptions) -> Result<()> {
        let lowers = self.ready_lowers(engine)?;
        let view = View::new(&lowers);
        let path = self.absolute(source)?;
        let inside = source == "." || source.ends_with("/.");
        let followed = options.follow || inside || source.ends_with('/');
        let (real, found) = if followed { view.resolve(&path)? } else { view.resolve_link(&path)? };
        let Some(found) = found else {
            return Err(Error::not_found(format!("cannot copy '{source}': it does not exist in the state")));
        };
        let area = engine.store().workspace()?;
        let root = area.join("fs");
        let here = root.join(real.strip_prefix("/").unwrap_or(&real));
        let parent = here.parent().unwrap_or(&root);
        fs::create_dir_all(parent).os(|| format!("create {}", parent.display()))?;
        if found.meta.is_dir() {
            engine.merge(&view, &real, &found, &here, &mut LayerMeta { diff_id: None, bytes: 0, entries: 0 })?;
        } else {
            fs::hard_link(&found.path, &here).os(|| format!("link {}", real.display()))?;
        }
        let mut name = real.to_string_lossy().into_owned();
        if inside {
            name.push_str("/.");
        }
        let options = CopyOptions { noun: "state", ..*options };
        files::copy_out(Root::open(&root)?.fd().as_fd(), &name, target, &options, engine.cancel())
    }
}
