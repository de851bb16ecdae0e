//! One at a time at a name in a directory, whichever path led there: what is made beside a place is called the same by all.
//!
//! A step has its turn at its own path for as long as it runs (`permit`). A missing parent is nobody's path, and several steps
//! may come to make it at once, while another is about to put a directory just there. So all of them enter the site first,
//! look again, and leave it once what they made is in its place. Nobody enters a second site from within one.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    sync::{Condvar, Mutex, PoisonError},
};

use super::walk::Place;

/// A directory's device and inode, and a name in it.
type Site = ((u64, u64), OsString);

/// Where somebody is at work just now.
#[derive(Debug, Default)]
pub(super) struct Sites {
    busy: Mutex<BTreeSet<Site>>,
    left: Condvar,
}

/// Somebody's being at work at a site, until dropped.
#[derive(Debug)]
pub(super) struct AtWork<'s> {
    sites: &'s Sites,
    site: Site,
}

impl Sites {
    /// Waits, on this thread, until nobody else is at `place`.
    pub(super) fn enter(&self, place: &Place) -> AtWork<'_> {
        let site = (place.directory.id(), place.name.clone());
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = self.left.wait_while(busy, |busy| busy.contains(&site));
        busy.unwrap_or_else(PoisonError::into_inner).insert(site.clone());
        AtWork { sites: self, site }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.sites.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.site);
        self.sites.left.notify_all();
    }
}
