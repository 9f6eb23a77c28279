//! Jobs of a plan: from tensor to tensor, of one band on buffers of its own, and between textures.

use super::constants::{constants, shader};
use super::params::params;
use super::placement::{
    Piece, Placement, destination_pieces, own_placement, own_sizes, source_pieces,
};
use super::texels::{self, Texels};
use super::{Binding, Dispatch, Job, Program, Resource};
use crate::plan::bands::Band;
use crate::plan::edges::Edges;
use crate::plan::launch::GpuLaunch;
use crate::plan::limits::GpuLimits;
use crate::plan::pass::Pass;
use crate::{Error, Problem, Result};

/// The programs of a launch: those of its passes, and behind them the one that gathers what a border
/// continued.
pub(crate) fn programs(
    problem: &Problem,
    launch: &GpuLaunch,
    texels: Option<&Texels>,
) -> Vec<Program> {
    let of = |problem: &Problem, pass: Pass| Program {
        shader: shader(problem, pass, &launch.scheme, texels),
        constants: constants(problem, pass, launch, texels),
    };
    let made = launch.scheme.part_of(problem);
    let passes = Pass::of(&launch.scheme).iter().map(|pass| of(made, *pass));
    let edges = launch.scheme.leaves_edges(problem).then(|| of(problem, Pass::Edges));
    passes.chain(edges).collect()
}

/// Which of the caller's tensors go through rooms of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// It lies in one buffer with the destination, of which no two parts can be bound at once, one of them to be
    /// written; or where no vector begins.
    pub source: bool,
    /// It lies where no vector begins.
    pub destination: bool,
}

impl Copied {
    /// How many there are.
    pub const WAYS: usize = 4;

    /// Its number among them.
    pub fn way(self) -> usize {
        2 * usize::from(self.source) + usize::from(self.destination)
    }
}

/// All bands, from the caller's source to the caller's destination.
pub(crate) fn tensors(
    problem: &Problem,
    launch: &GpuLaunch,
    limits: &GpuLimits,
    copied: Copied,
) -> Result<Job> {
    let mut maker = Maker::new(problem, launch, limits, None);
    maker.copied = copied;
    for band in &launch.bands {
        maker.tensor_band(band)?;
    }
    Ok(maker.job)
}

/// One band on buffers of our own, which hold it and nothing else.
pub(crate) fn band(problem: &Problem, launch: &GpuLaunch, limits: &GpuLimits, band: &Band) -> Job {
    let mut maker = Maker::new(problem, launch, limits, None);
    let ends = [Resource::Source, Resource::Destination].map(Binding::whole);
    maker.passes(band, ends, own_placement(problem, launch, band));
    maker.job
}

/// All bands, from a texture to another.
pub(crate) fn textures(
    problem: &Problem,
    launch: &GpuLaunch,
    limits: &GpuLimits,
    texels: &Texels,
) -> Job {
    let mut maker = Maker::new(problem, launch, limits, Some(texels));
    for band in &launch.bands {
        let ends = [Resource::Source, Resource::Destination].map(Binding::whole);
        maker.passes(band, ends, texels::placement(problem, launch, band));
    }
    maker.job
}

/// A job in the making.
pub(super) struct Maker<'a> {
    pub problem: &'a Problem,
    pub launch: &'a GpuLaunch,
    pub limits: &'a GpuLimits,
    textures: bool,
    copied: Copied,
    /// Rooms between passes come first.
    pub job: Job,
    /// Multiply-adds of each pass for one place of the output.
    work: Vec<f64>,
    /// Room for a band's source and output where they do not lie in one piece.
    own: [Option<Resource>; 2],
}

impl<'a> Maker<'a> {
    fn new(
        problem: &'a Problem,
        launch: &'a GpuLaunch,
        limits: &'a GpuLimits,
        texels: Option<&Texels>,
    ) -> Self {
        let programs = programs(problem, launch, texels);
        let mut maker = Self::empty(problem, launch, limits);
        maker.textures = texels.is_some();
        let made = launch.scheme.part_of(problem);
        let sizes = launch.bands.iter().map(|band| launch.scheme.between(made, band));
        let largest = sizes.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect());
        maker.job = Job { programs, rooms: largest.unwrap_or_default(), commands: Vec::new() };
        let weight = launch.scheme.weight(limits) as f64;
        let sums = launch.scheme.traffic(made).into_iter().map(|pass| weight * pass.sums);
        maker.work = sums.map(|sums| sums / places(problem).max(1.0)).collect();
        maker
    }

    /// Without programs, for the bands alone.
    pub fn empty(problem: &'a Problem, launch: &'a GpuLaunch, limits: &'a GpuLimits) -> Self {
        let (job, work, own) = (Job::default(), Vec::new(), [None; 2]);
        let copied = Copied::default();
        Self { problem, launch, limits, textures: false, copied, job, work, own }
    }

    fn tensor_band(&mut self, band: &Band) -> Result<()> {
        let mut place = own_placement(self.problem, self.launch, band);
        let source = self.source(band, &mut place)?;
        let whole = Resource::Destination;
        let (destination, back) = self.destination(band, whole, &mut place, true)?;
        self.passes(band, [source, destination], place);
        self.job.copy(destination.resource, whole, back);
        Ok(())
    }

    /// The source of a band, after the copies that gather it where it does not lie in one piece.
    pub fn source(&mut self, band: &Band, place: &mut Placement) -> Result<Binding> {
        let g = self.problem.geometry();
        let bytes = self.problem.input_type().bytes();
        // A band with whole rows lies in one piece, or image by image at the distance of images.
        let whole_rows = !band.source_rows.continued
            && !band.source_columns.continued
            && band.source_columns.len == g.width;
        if whole_rows && !self.copied.source {
            let first = band.images.start * g.image() + band.source_rows.first as usize * g.row();
            let plane = g.image() / g.planes();
            let len = band.images.len() * g.image() - plane + band.source_rows.len * g.row();
            place.src_image = g.image();
            return Ok(Binding::scalars(Resource::Source, first, len, bytes));
        }
        let own = own_placement(self.problem, self.launch, band);
        let pieces = source_pieces(self.problem, band, &own);
        let room = self.own(0);
        self.job.copy(Resource::Source, room, words("source", pieces, false)?);
        Ok(Binding::whole(room))
    }

    /// A band of `whole`, which has the shape of the output: where it lies, or else room for it. If it is
    /// `written`, the copies from there are to be made afterwards; if not, they are made now.
    pub fn destination(
        &mut self,
        band: &Band,
        whole: Resource,
        place: &mut Placement,
        written: bool,
    ) -> Result<(Binding, Vec<Piece>)> {
        let own = own_placement(self.problem, self.launch, band);
        let bytes = self.problem.output_type().bytes();
        let mut pieces = destination_pieces(self.problem, band, &own);
        if let [piece] = pieces[..]
            && piece.to.is_multiple_of(self.launch.scheme.alignment())
            && !self.copied.destination
        {
            let binding = Binding::scalars(whole, piece.to / bytes, piece.len / bytes, bytes);
            place.dst_base = 0;
            return Ok((binding, Vec::new()));
        }
        let room = self.own(1);
        if written {
            return Ok((Binding::whole(room), words("destination", pieces, true)?));
        }
        for piece in &mut pieces {
            std::mem::swap(&mut piece.from, &mut piece.to);
        }
        self.job.copy(whole, room, words("gradient of the output", pieces, false)?);
        Ok((Binding::whole(room), Vec::new()))
    }

    /// Room for every band's own source (0) or output (1), as large as that of the largest.
    fn own(&mut self, which: usize) -> Resource {
        if let Some(room) = self.own[which] {
            return room;
        }
        let size = |band| {
            let place = own_placement(self.problem, self.launch, band);
            let (source, output) = own_sizes(self.problem, band, &place);
            [source, output][which]
        };
        let largest = self.launch.bands.iter().map(size).max().unwrap_or(0);
        let room = self.job.room(largest.next_multiple_of(4));
        self.own[which] = Some(room);
        room
    }

    /// The passes of a band between these two.
    fn passes(&mut self, band: &Band, [source, destination]: [Binding; 2], place: Placement) {
        let Self { problem, launch, limits, .. } = *self;
        let made = launch.scheme.part_of(problem);
        let between = |room: Option<usize>, end: Binding| match room {
            Some(n) => Binding::whole(Resource::Room(n)),
            None => end,
        };
        for (n, pass) in Pass::of(&launch.scheme).iter().enumerate() {
            let ends = pass.ends(&launch.scheme);
            let (params, grid) = params(made, *pass, launch, band, place, limits.max_workgroups);
            self.job.dispatch(Dispatch {
                program: n,
                params,
                grid,
                bindings: [
                    between(ends.reads, source),
                    between(ends.writes, destination),
                    Binding::whole(Resource::Weights(n)),
                ],
                original: self.textures && ends.writes_destination(),
                work: (self.work.get(n).copied().unwrap_or(0.0) * band_places(problem, band))
                    as u64,
            });
        }
        if !launch.scheme.leaves_edges(problem) {
            return;
        }
        let n = Pass::of(&launch.scheme).len();
        let taps = problem.weights().taps.len() as f64;
        let (params, grid) =
            params(problem, Pass::Edges, launch, band, place, limits.max_workgroups);
        let places = Edges::of(problem, band).scalars(problem, band) as f64;
        self.job.dispatch(Dispatch {
            program: n,
            params,
            grid,
            bindings: [source, destination, Binding::whole(Resource::Weights(n))],
            original: false,
            work: (taps * limits.slow_access() as f64 * places) as u64,
        });
    }
}

/// Places of the output: of each channel one, whatever its filters.
fn places(problem: &Problem) -> f64 {
    let g = problem.geometry();
    (g.images * g.out_height * g.out_width * g.channels) as f64
}

fn band_places(problem: &Problem, band: &Band) -> f64 {
    let pixels = band.images.len() * band.rows.len() * band.columns.len();
    (pixels * problem.geometry().channels) as f64
}

/// Copies in whole words, which is all that devices make. A piece that is read alone may take what follows
/// it up to the next word; rooms have room for that, and tensors end with a whole word.
fn words(which: &'static str, pieces: Vec<Piece>, written: bool) -> Result<Vec<Piece>> {
    let alone = pieces.len() == 1 && !written;
    let whole = |piece: Piece| {
        let len = piece.len.next_multiple_of(4);
        let aligned = piece.from.is_multiple_of(4) && piece.to.is_multiple_of(4);
        if aligned && (alone || piece.len == len) {
            return Ok(Piece { len, ..piece });
        }
        Err(Error::Buffer {
            which,
            reason: format!(
                "a band of it is gathered by copies, which move whole words, but a row of it is {} bytes at byte {}",
                piece.len,
                piece.from.max(piece.to)
            ),
        })
    };
    pieces.into_iter().map(whole).collect()
}
