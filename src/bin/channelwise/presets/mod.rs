//! Kernels by name: the one table behind `--kernel` and `channelwise kernels`, and its grammar,
//! `NAME[:ARG,ARG,…]` with arguments by place or as `name=value`.

mod gaussian;

use std::str::FromStr;

use channelwise::Kernel;
use gaussian::gaussian;

/// A kernel that has a name.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// Arguments for its picture.
    pub(crate) example: &'static str,
    pub(crate) meaning: &'static str,
    build: fn(&Given<'_>) -> Built,
}

type Built = Result<Kernel, String>;

/// An argument of a preset.
#[derive(Debug)]
pub(crate) struct Param {
    /// The first is the one shown.
    names: &'static [&'static str],
    need: Need,
}

#[derive(Clone, Copy, Debug)]
enum Need {
    /// An error without it.
    Required,
    /// This value without it.
    Or(&'static str),
    /// The preset knows what to do without it.
    Free,
}

impl Param {
    const fn new(names: &'static [&'static str], need: Need) -> Self {
        Self { names, need }
    }

    /// As the listing shows it: `SIZE`, `[AMOUNT=1]`.
    pub(crate) fn shown(&self) -> String {
        let name = self.names[0].to_uppercase();
        match self.need {
            Need::Required => name,
            Need::Or(value) => format!("[{name}={value}]"),
            Need::Free => format!("[{name}]"),
        }
    }
}

const SIZE: Param = Param::new(&["size"], Need::Required);
const SIGMA: Param = Param::new(&["sigma"], Need::Required);

const fn fixed(
    name: &'static str,
    meaning: &'static str,
    build: fn(&Given<'_>) -> Built,
) -> Preset {
    Preset { name, params: &[], example: "", meaning, build }
}

/// Every preset, in the order shown.
pub(crate) const PRESETS: &[Preset] = &[
    Preset {
        name: "gaussian",
        params: &[Param::new(&["size"], Need::Free), Param::new(&["sigma"], Need::Free)],
        example: "9,2",
        meaning: "Gaussian blur; size alone: OpenCV's sigma for it, sigma alone: SciPy's size for it; \
                  5x9 and 1.2x2.5 are those of rows and columns",
        build: gaussian,
    },
    Preset {
        name: "box",
        params: &[
            Param::new(&["height", "h", "size"], Need::Required),
            Param::new(&["width", "w"], Need::Free),
        ],
        example: "5",
        meaning: "mean over height x width pixels; one number means a square",
        build: |g| {
            let height = g.count(0)?;
            built(Kernel::box_blur(height, if g.has(1) { g.count(1)? } else { height }))
        },
    },
    Preset {
        name: "binomial",
        params: &[SIZE],
        example: "5",
        meaning: "rows of Pascal's triangle: a small Gaussian in exact fractions",
        build: |g| built(Kernel::binomial(g.count(0)?)),
    },
    Preset {
        name: "disk",
        params: &[Param::new(&["radius", "r"], Need::Required)],
        example: "4.5",
        meaning: "a lens out of focus",
        build: |g| built(Kernel::disk(g.real(0)?)),
    },
    Preset {
        name: "motion",
        params: &[
            Param::new(&["length", "l"], Need::Required),
            Param::new(&["angle"], Need::Or("0")),
        ],
        example: "11,30",
        meaning: "motion blur along a line, angle in degrees counter-clockwise from horizontal",
        build: |g| built(Kernel::motion(g.real(0)?, g.real(1)?)),
    },
    fixed("sobel-x", "slope along a row, smoothed across it", |_| Ok(Kernel::sobel_x())),
    fixed("sobel-y", "slope down a column, smoothed across it", |_| Ok(Kernel::sobel_y())),
    fixed("scharr-x", "slope along a row, more even over directions than Sobel", |_| {
        Ok(Kernel::scharr_x())
    }),
    fixed("scharr-y", "slope down a column, more even over directions than Sobel", |_| {
        Ok(Kernel::scharr_y())
    }),
    fixed("prewitt-x", "slope along a row, mean across it", |_| Ok(Kernel::prewitt_x())),
    fixed("prewitt-y", "slope down a column, mean across it", |_| Ok(Kernel::prewitt_y())),
    Preset {
        name: "laplacian",
        params: &[Param::new(&["neighbours", "neighbors"], Need::Or("4"))],
        example: "4",
        meaning: "second derivative over 4 or 8 neighbours; laplacian4 and laplacian8 are names too",
        build: |g| match g.count(0)? {
            4 => Ok(Kernel::laplacian4()),
            8 => Ok(Kernel::laplacian8()),
            n => Err(format!("laplacian has 4 or 8 neighbours, not {n}")),
        },
    },
    fixed("laplacian4", "the same over 4 neighbours", |_| Ok(Kernel::laplacian4())),
    fixed("laplacian8", "the same over 8 neighbours", |_| Ok(Kernel::laplacian8())),
    Preset {
        name: "log",
        params: &[SIZE, SIGMA],
        example: "9,1.4",
        meaning: "Laplacian of a Gaussian: spots and edges of about sigma pixels",
        build: |g| built(Kernel::log(g.count(0)?, g.real(1)?)),
    },
    Preset {
        name: "gabor",
        params: &[
            SIZE,
            SIGMA,
            Param::new(&["theta"], Need::Or("0")),
            Param::new(&["lambda"], Need::Or("4")),
            Param::new(&["gamma"], Need::Or("0.5")),
            Param::new(&["psi"], Need::Or("0")),
        ],
        example: "13,2.5,0.6,5",
        meaning: "a wave under a Gaussian: direction theta and phase psi in radians, wavelength \
                  lambda, aspect gamma",
        build: |g| {
            built(Kernel::gabor(
                g.count(0)?,
                g.real(1)?,
                g.real(2)?,
                g.real(3)?,
                g.real(4)?,
                g.real(5)?,
            ))
        },
    },
    fixed("sharpen", "the image less its Laplacian", |_| Ok(Kernel::sharpen())),
    Preset {
        name: "unsharp",
        params: &[SIZE, SIGMA, Param::new(&["amount"], Need::Or("1"))],
        example: "7,1.5,1",
        meaning: "unsharp mask: amount times what a Gaussian blur takes away is added",
        build: |g| built(Kernel::unsharp(g.count(0)?, g.real(1)?, g.real(2)?)),
    },
    fixed("emboss", "relief, lit along the diagonal", |_| Ok(Kernel::emboss())),
    fixed("identity", "changes nothing", |_| Ok(Kernel::identity())),
];

fn built(kernel: channelwise::Result<Kernel>) -> Built {
    kernel.map_err(|error| error.to_string())
}

/// The arguments of one use, by parameter.
#[derive(Debug)]
struct Given<'a> {
    preset: &'a Preset,
    values: Vec<Option<&'a str>>,
}

impl Given<'_> {
    fn has(&self, at: usize) -> bool {
        self.values[at].is_some()
    }

    fn count(&self, at: usize) -> Result<usize, String> {
        self.value(at, "a whole number")
    }

    fn real(&self, at: usize) -> Result<f64, String> {
        self.value(at, "a number")
    }

    /// One for both axes, or as `5x9` one for rows and one for columns.
    fn axes<T: FromStr + Copy>(&self, at: usize, needed: &str) -> Result<(T, T), String> {
        let axes: Axes<T> = self.value(at, needed)?;
        Ok((axes.rows, axes.columns))
    }

    fn value<T: FromStr>(&self, at: usize, needed: &str) -> Result<T, String> {
        let param = &self.preset.params[at];
        let default = match param.need {
            Need::Or(value) => Some(value),
            Need::Required | Need::Free => None,
        };
        let name = param.names[0];
        let text = self.values[at]
            .or(default)
            .ok_or_else(|| format!("{} is missing: {}", name, self.preset.signature()))?;
        text.parse().map_err(|_| format!("{name} `{text}` is not {needed}"))
    }
}

/// A number of rows and one of columns.
struct Axes<T> {
    rows: T,
    columns: T,
}

impl<T: FromStr + Copy> FromStr for Axes<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let (rows, columns) = match text.split_once(['x', 'X']) {
            Some((rows, columns)) => (rows.trim().parse()?, columns.trim().parse()?),
            None => {
                let both = text.parse()?;
                (both, both)
            }
        };
        Ok(Self { rows, columns })
    }
}

impl Preset {
    /// `unsharp:SIZE,SIGMA,[AMOUNT=1]`.
    pub(crate) fn signature(&self) -> String {
        if self.params.is_empty() {
            return self.name.into();
        }
        let params: Vec<_> = self.params.iter().map(Param::shown).collect();
        format!("{}:{}", self.name, params.join(","))
    }

    /// With the arguments for its picture.
    pub(crate) fn example_text(&self) -> String {
        if self.example.is_empty() {
            return self.name.into();
        }
        format!("{}:{}", self.name, self.example)
    }

    fn kernel(&self, args: Option<&str>) -> Built {
        let mut values = vec![None; self.params.len()];
        let mut by_name = false;
        for (place, arg) in args.iter().flat_map(|args| args.split(',')).enumerate() {
            let (at, value) = match arg.split_once('=') {
                Some((name, value)) => {
                    by_name = true;
                    (self.param(name)?, value)
                }
                None if by_name => {
                    return Err(format!("`{arg}` by place follows an argument by name"));
                }
                None if place < self.params.len() => (place, arg),
                None if self.params.is_empty() => {
                    return Err(format!("{} takes no arguments", self.name));
                }
                None => return Err(format!("too many arguments: {}", self.signature())),
            };
            if values[at].replace(value.trim()).is_some() {
                return Err(format!("{} is given twice", self.params[at].names[0]));
            }
        }
        (self.build)(&Given { preset: self, values })
    }

    fn param(&self, name: &str) -> Result<usize, String> {
        let wanted = canonical(name);
        self.params
            .iter()
            .position(|param| param.names.contains(&wanted.as_str()))
            .ok_or_else(|| format!("no argument `{}`: {}", name.trim(), self.signature()))
    }
}

/// The kernel that `text` names.
pub(crate) fn parse(text: &str) -> Built {
    let (name, args) = match text.split_once(':') {
        Some((name, args)) => (canonical(name), Some(args)),
        None => (canonical(text), None),
    };
    match PRESETS.iter().find(|preset| preset.name == name) {
        Some(preset) => preset.kernel(args),
        None => {
            let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
            let near = names.iter().min_by_key(|known| distance(known, &name));
            let near = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            Err(format!("no such kernel{near} There are {}", names.join(", ")))
        }
    }
}

fn canonical(name: &str) -> String {
    name.trim().to_lowercase().replace('_', "-")
}

/// Letters to insert, remove or change to get from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_by_place_and_name() {
        let same = [
            ("gaussian:5,1.2", Kernel::gaussian(5, 1.2)),
            ("gaussian:size=5,sigma=1.2", Kernel::gaussian(5, 1.2)),
            ("GAUSSIAN:5,Sigma=1.2", Kernel::gaussian(5, 1.2)),
            ("gaussian:5", Kernel::gaussian_sized(5)),
            ("gaussian:size=5", Kernel::gaussian_sized(5)),
            ("gaussian:sigma=1.2", Kernel::gaussian_sigma(1.2)),
            ("gaussian:5x5,1.2x1.2", Kernel::gaussian(5, 1.2)),
            ("gaussian:7x7", Kernel::gaussian_sized(7)),
            ("gaussian:sigma=2X2", Kernel::gaussian_sigma(2.0)),
            ("box:3", Kernel::box_blur(3, 3)),
            ("box:3,5", Kernel::box_blur(3, 5)),
            ("box:w=5,h=3", Kernel::box_blur(3, 5)),
            ("box:size=4", Kernel::box_blur(4, 4)),
            ("binomial:5", Kernel::binomial(5)),
            ("Sobel_X", Ok(Kernel::sobel_x())),
            ("sobel-y", Ok(Kernel::sobel_y())),
            ("scharr-x", Ok(Kernel::scharr_x())),
            ("scharr-y", Ok(Kernel::scharr_y())),
            ("prewitt-x", Ok(Kernel::prewitt_x())),
            ("prewitt-y", Ok(Kernel::prewitt_y())),
            ("laplacian", Ok(Kernel::laplacian4())),
            ("laplacian:4", Ok(Kernel::laplacian4())),
            ("laplacian:8", Ok(Kernel::laplacian8())),
            ("laplacian4", Ok(Kernel::laplacian4())),
            ("laplacian8", Ok(Kernel::laplacian8())),
            ("log:9,1.4", Kernel::log(9, 1.4)),
            ("sharpen", Ok(Kernel::sharpen())),
            ("unsharp:5,1,-0.5", Kernel::unsharp(5, 1.0, -0.5)),
            ("unsharp:5,1", Kernel::unsharp(5, 1.0, 1.0)),
            ("emboss", Ok(Kernel::emboss())),
            ("motion:7,-30", Kernel::motion(7.0, -30.0)),
            ("motion:7", Kernel::motion(7.0, 0.0)),
            ("disk:2.5", Kernel::disk(2.5)),
            ("gabor:9,2,0.5,4,0.7,1", Kernel::gabor(9, 2.0, 0.5, 4.0, 0.7, 1.0)),
            ("gabor:9,2,psi=1", Kernel::gabor(9, 2.0, 0.0, 4.0, 0.5, 1.0)),
            ("identity", Ok(Kernel::identity())),
        ];
        for (text, kernel) in same {
            assert_eq!(parse(text), kernel.map_err(|e| e.to_string()), "{text}");
        }
    }

    #[test]
    fn refusals_say_why() {
        for (text, part) in [
            ("gausian:5", "did you mean gaussian?"),
            ("sobel", "did you mean sobel-x?"),
            ("", "There are gaussian, box,"),
            ("gaussian", "a size, a sigma or both"),
            ("gaussian:1.5", "size `1.5` is not a whole number"),
            ("gaussian:", "size `` is not a whole number"),
            ("gaussian:5,1,2", "too many arguments: gaussian:[SIZE],[SIGMA]"),
            ("gaussian:5,size=5", "size is given twice"),
            ("gaussian:sigma=1,5", "follows an argument by name"),
            ("gaussian:5x9", "needs a sigma, as in gaussian:5x9,1.2"),
            ("gaussian:5x", "size `5x` is not a whole number, or two as in 5x9"),
            ("gaussian:5x9x3,1", "size `5x9x3` is not"),
            ("gaussian:5x9,1x", "sigma `1x` is not a number, or two as in 1.2x2.5"),
            ("gaussian:5x0,1", "size: 0 is not allowed"),
            ("gaussian:sigma=1x-2", "sigma: -2 is not allowed"),
            ("log:5x9,1", "size `5x9` is not a whole number"),
            ("gaussian:radius=5", "no argument `radius`"),
            ("gaussian:0", "size: 0 is not allowed"),
            ("gaussian:sigma=nan", "sigma: NaN is not allowed"),
            ("unsharp:5", "sigma is missing: unsharp:SIZE,SIGMA,[AMOUNT=1]"),
            ("sobel-x:3", "sobel-x takes no arguments"),
            ("laplacian:5", "4 or 8 neighbours"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_example_builds() {
        for preset in PRESETS {
            assert!(parse(&preset.example_text()).is_ok(), "{}", preset.name);
        }
    }

    #[test]
    fn distances() {
        for (a, b, n) in [("", "abc", 3), ("kitten", "sitting", 3), ("box", "box", 0)] {
            assert_eq!((distance(a, b), distance(b, a)), (n, n));
        }
    }
}
