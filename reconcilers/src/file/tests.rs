//! The reconciler on real directories below a temporary root.

mod at_once;
mod contents;
mod contract;
mod evidence;
mod giving_back;
mod hints;
mod limits;
mod rig;
mod taking;
mod ways;
