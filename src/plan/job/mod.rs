//! What a GPU has to do, as data: no device, no buffer and no handle is in here, so that copies,
//! parameters and grids are tested as tables.
//!
//! ```text
//!   Plan ── forward, chain, gradient ──> Job { programs, rooms, commands } ──> gpu/executor
//!             │         │
//!             │         └ placement: where rows lie, and what is copied
//!             └ shader, constants, params, weights: what a pass is told
//! ```

mod chain;
mod codes;
mod constants;
mod forward;
mod gradient;
mod params;
mod pixels;
mod placement;
mod products;
mod shader;
mod texels;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use chain::chain;
pub(crate) use forward::{Copied, band, programs, tensors, textures};
pub(crate) use gradient::{GradientJob, gradient, gradient_steps, gradient_weights};
pub(crate) use params::{BASES, Params};
#[cfg(test)]
pub(crate) use params::{
    EdgesOwn, FftOwn, FlatOwn, MarchOwn, PhasesOwn, ProductsOwn, StripOwn, SumsOwn,
};
pub(crate) use placement::{
    Piece, Placement, destination_pieces, own_placement, own_sizes, source_pieces,
};
pub(crate) use shader::{Data, Entry, Shader, Texel};
pub(crate) use texels::{Texels, source_pitch};
pub(crate) use weights::{of_launch as weights, taps_at};

/// What a command reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// The tensor or texture that goes in.
    Source,
    /// The one that comes out: of gradients, that of the input.
    Destination,
    /// The gradient of a loss with respect to outputs.
    OutputGradient,
    /// That of the kernel, and behind it that of the bias.
    KernelGradient,
    /// Those of a pointwise step, weights and bias.
    PointwiseGradient,
    /// Room of our own between commands: its number in [`Job::rooms`].
    Room(usize),
    /// Numbers that are there before the job runs: those of the program of this number.
    Weights(usize),
}

/// Copies and dispatches in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Job {
    /// What dispatches run.
    pub programs: Vec<Program>,
    /// Bytes of each room.
    pub rooms: Vec<u64>,
    pub commands: Vec<Command>,
}

/// A shader, and the values of its `override` constants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Program {
    pub shader: Shader,
    pub constants: Vec<(&'static str, u32)>,
}

impl Program {
    /// Invocations of a workgroup along x and y.
    pub fn workgroup(&self) -> [u32; 2] {
        let of = |name| self.constants.iter().find(|(known, _)| *known == name);
        ["WORKGROUP_X", "WORKGROUP_Y"].map(|name| of(name).map_or(1, |(_, size)| *size))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Copies { from: Resource, to: Resource, pieces: Vec<Piece> },
    Dispatch(Box<Dispatch>),
}

/// One grid of workgroups.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dispatch {
    /// Its number in [`Job::programs`].
    pub program: usize,
    /// All but the bases of its bindings, which are known when they are bound.
    pub params: Params,
    pub grid: [u32; 3],
    /// What is bound as 1, 2 and 3.
    pub bindings: [Binding; 3],
    /// Whether the source is bound once more, as 4: for textures that keep their alpha.
    pub original: bool,
    /// Multiply-adds, each of a slow access counted as several.
    pub work: u64,
}

/// A resource, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Binding {
    pub resource: Resource,
    /// All of it where it is none.
    pub part: Option<Part>,
}

/// Some bytes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub first: u64,
    pub len: u64,
    /// Bytes of a scalar: shaders count in those from where the binding starts.
    pub scalar: u64,
}

impl Binding {
    pub fn whole(resource: Resource) -> Self {
        Self { resource, part: None }
    }

    /// `len` scalars of `bytes` each, from scalar `first`.
    pub fn scalars(resource: Resource, first: usize, len: usize, bytes: usize) -> Self {
        let [first, len, scalar] = [first * bytes, len * bytes, bytes].map(|n| n as u64);
        Self { resource, part: Some(Part { first, len, scalar }) }
    }
}

impl Job {
    /// Another room of so many bytes.
    pub fn room(&mut self, bytes: u64) -> Resource {
        self.rooms.push(bytes);
        Resource::Room(self.rooms.len() - 1)
    }

    /// Copies, if there are any.
    pub fn copy(&mut self, from: Resource, to: Resource, pieces: Vec<Piece>) {
        if !pieces.is_empty() {
            self.commands.push(Command::Copies { from, to, pieces });
        }
    }

    /// A dispatch, unless its grid is empty.
    pub fn dispatch(&mut self, dispatch: Dispatch) {
        if !dispatch.grid.contains(&0) {
            self.commands.push(Command::Dispatch(Box::new(dispatch)));
        }
    }

    /// The commands of `other` behind it, on the resources that these stand for. Its programs are those from
    /// `first` on, and its rooms those from `first_room` on, which others may use before and after it.
    pub fn append(
        &mut self,
        other: Self,
        first: usize,
        first_room: usize,
        named: impl Fn(Resource) -> Resource,
    ) {
        for (n, bytes) in other.rooms.into_iter().enumerate() {
            if self.rooms.len() <= first_room + n {
                self.rooms.resize(first_room + n + 1, 0);
            }
            let room = &mut self.rooms[first_room + n];
            *room = bytes.max(*room);
        }
        let renamed = |resource| match resource {
            Resource::Room(n) => Resource::Room(first_room + n),
            Resource::Weights(n) => Resource::Weights(first + n),
            other => named(other),
        };
        self.commands.extend(other.commands.into_iter().map(|command| match command {
            Command::Copies { from, to, pieces } => {
                Command::Copies { from: renamed(from), to: renamed(to), pieces }
            }
            Command::Dispatch(mut dispatch) => {
                dispatch.program += first;
                for binding in &mut dispatch.bindings {
                    binding.resource = renamed(binding.resource);
                }
                Command::Dispatch(dispatch)
            }
        }));
    }

    /// The same with a resource of so many bytes copied into a room before all else, and read from there.
    pub fn through_room(&mut self, resource: Resource, bytes: u64) {
        let room = self.room(bytes.next_multiple_of(4));
        for command in &mut self.commands {
            match command {
                Command::Copies { from, .. } if *from == resource => *from = room,
                Command::Copies { .. } => {}
                Command::Dispatch(dispatch) => {
                    let read = dispatch.bindings.iter_mut().filter(|b| b.resource == resource);
                    read.for_each(|binding| binding.resource = room);
                }
            }
        }
        let all = Piece { from: 0, to: 0, len: bytes.next_multiple_of(4) as usize };
        let copy = Command::Copies { from: resource, to: room, pieces: vec![all] };
        self.commands.insert(0, copy);
    }

    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.commands.iter().filter_map(|command| match command {
            Command::Dispatch(dispatch) => Some(&**dispatch),
            Command::Copies { .. } => None,
        })
    }

    /// Multiply-adds of all dispatches.
    pub fn work(&self) -> u64 {
        self.dispatches().fold(0, |all, dispatch| all.saturating_add(dispatch.work))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Destination => f.write_str("destination"),
            Self::OutputGradient => f.write_str("gradient of the output"),
            Self::KernelGradient => f.write_str("gradient of the kernel"),
            Self::PointwiseGradient => f.write_str("gradient of the pointwise step"),
            Self::Room(n) => write!(f, "room {n}"),
            Self::Weights(n) => write!(f, "weights {n}"),
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.resource)?;
        match self.part {
            Some(Part { first, len, .. }) => write!(f, "[{first}..{}]", first + len),
            None => Ok(()),
        }
    }
}

/// One line for each room and command.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, bytes) in self.rooms.iter().enumerate() {
            writeln!(f, "room {n}: {bytes} bytes")?;
        }
        for command in &self.commands {
            match command {
                Command::Copies { from, to, pieces } => {
                    let bytes: usize = pieces.iter().map(|piece| piece.len).sum();
                    writeln!(f, "copy {from} -> {to}: {bytes} bytes in {} pieces", pieces.len())?;
                }
                Command::Dispatch(dispatch) => {
                    let [x, y, z] = dispatch.grid;
                    let [reads, writes, beside] = dispatch.bindings;
                    let label = self.programs.get(dispatch.program).map(|p| p.shader.label());
                    let label = label.unwrap_or_default();
                    writeln!(
                        f,
                        "{label} {x}x{y}x{z}: {reads} -> {writes}, with {beside}; {:.3e} multiply-adds",
                        dispatch.work as f64
                    )?;
                }
            }
        }
        Ok(())
    }
}
