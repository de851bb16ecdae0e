//! Who belongs in which place of a scene, and which places a move touches. Pure.

use std::collections::BTreeSet;

use super::{Member, Memory, Move, Scene};

/// A place in the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Part {
    Main,
    Next,
    Prior,
    Former,
}

/// The name of a replacement that is being prepared.
pub(in crate::container) fn next_name(name: &str) -> String {
    format!("{name}.holdfast-next")
}

/// The name of what is being replaced.
pub(in crate::container) fn prior_name(name: &str) -> String {
    format!("{name}.holdfast-prior")
}

/// All names of a container called `name` and of its replacements.
pub(in crate::container) fn own_names(name: &str) -> [String; 3] {
    [name.to_owned(), next_name(name), prior_name(name)]
}

impl Scene {
    /// An empty scene of a container called `name`. Ours with the id `former` is to have another name.
    pub(in crate::container) fn new(name: &str, former: Option<String>, has_strays: bool) -> Self {
        Self { name: name.to_owned(), former_id: former, has_strays, ..Self::default() }
    }

    /// All places.
    pub(in crate::container) fn parts(&self) -> [Part; 4] {
        [Part::Main, Part::Next, Part::Prior, Part::Former]
    }

    /// By what the engine knows who belongs in a place: a name, or an id where the name may be somebody else's by now.
    pub(in crate::container) fn key_of(&self, part: Part) -> Option<String> {
        match part {
            Part::Main => Some(self.name.clone()),
            Part::Next => Some(next_name(&self.name)),
            Part::Prior => Some(prior_name(&self.name)),
            Part::Former => self.former_id.clone(),
        }
    }

    /// Puts who was seen in a place.
    pub(in crate::container) fn put(&mut self, part: Part, seen: Option<Member>) {
        match part {
            Part::Main => self.main = seen,
            Part::Next => self.next = seen,
            Part::Prior => self.prior = seen,
            // Once it has the name that it is to have, it is in that place.
            Part::Former => {
                let has_moved = |member: &Member| member.container.name == self.name;
                self.former = seen.filter(|member| member.is_ours && !has_moved(member));
            }
        }
    }

    /// Who is in each place, in their order.
    pub(in crate::container) fn members(&self) -> [&Option<Member>; 4] {
        [&self.main, &self.next, &self.prior, &self.former]
    }

    /// The ids of all who are in a place.
    pub(in crate::container) fn ids(&self) -> BTreeSet<String> {
        self.members().into_iter().flatten().map(Member::id).collect()
    }

    /// Whether one of those who were there before a move, or whom it has made, is in no place any more, and not because of it: somebody else has renamed or
    /// removed it.
    pub(in crate::container) fn has_lost(
        &self,
        before: BTreeSet<String>,
        made: &Move,
        memory: &Memory,
    ) -> bool {
        let mut expected = before;
        match made {
            Move::Create(_) => expected.extend(memory.made.last().cloned()),
            Move::Remove(id) => drop(expected.remove(id)),
            _ => {}
        }
        !expected.is_subset(&self.ids())
    }

    /// The places that are not as they were once a move was made.
    pub(in crate::container) fn touched_by(&self, made: &Move) -> Vec<Part> {
        let (id, name) = match made {
            Move::Create(name) => (None, Some(name)),
            Move::Rename(id, name) => (Some(id), Some(name)),
            Move::Start(id)
            | Move::Unpause(id)
            | Move::Stop(id)
            | Move::Restart(id)
            | Move::Remove(id)
            | Move::Adjust(id)
            | Move::Connect(id, _)
            | Move::Disconnect(id, _) => (Some(id), None),
            Move::Done
            | Move::Conflict(_)
            | Move::NotKept(_)
            | Move::GiveUp(_)
            | Move::Pull
            | Move::RemoveImage(_)
            | Move::Wait
            | Move::Await(_)
            | Move::AwaitHandOver(_)
            | Move::Fail(..) => (None, None),
        };
        let is_touched = |part: Part, member: &Option<Member>| {
            let has_id = member.as_ref().is_some_and(|member| Some(&member.container.id) == id);
            has_id || name.is_some_and(|name| self.key_of(part).as_ref() == Some(name))
        };
        let touched =
            self.parts().into_iter().zip(self.members()).filter(|(part, member)| is_touched(*part, member));
        touched.map(|(part, _)| part).collect()
    }
}
