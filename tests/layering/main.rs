//! Imports go one way. The sources are read and held to the drawing in `src/lib.rs`: which room may
//! name which, which outside crates are used where, that the files of a room do not go in circles,
//! how long a file may get, and that what is public can be had from the crate's root.

mod rules;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rules::{BACKWARDS, IMPURE, MAY_NAME, MOST_LINES, ORDER, OUTSIDE, lists};
use source::{Named, Source};

/// A part of a room, and another that it names.
type Step = (String, String);

/// All sources but those for tests only.
struct Sources<'a> {
    files: Vec<&'a Source>,
    /// Each file's module, and those it is in.
    modules: BTreeSet<&'a [String]>,
    /// What imported names stand for, both from the crate's root.
    imports: BTreeMap<&'a [String], &'a [String]>,
}

impl<'a> Sources<'a> {
    fn new(all: &'a [Source]) -> Self {
        let tests: Vec<_> = all.iter().flat_map(|s| &s.tests).collect();
        let for_tests = |s: &Source| tests.iter().any(|t| s.module.starts_with(t));
        let files: Vec<_> = all.iter().filter(|s| !for_tests(s)).collect();
        let up = |s: &'a Source| (0..=s.module.len()).map(|n| &s.module[..n]);
        let modules = files.iter().copied().flat_map(up).collect();
        let paths = files.iter().flat_map(|s| &s.paths);
        let imports = paths.filter_map(|named| Some((&**named.gives.as_ref()?, &*named.path)));
        let imports = imports.collect();
        Self { files, modules, imports }
    }

    /// The rule of rooms, crates and purity that this path breaks.
    fn broken(&self, own: &str, named: &Named) -> Option<String> {
        let written = named.segments.join("::");
        let inside = ["crate", "super", "self"].contains(&&*named.segments[0]);
        let mut path = if inside { named.path.clone() } else { named.segments.clone() };
        // Nothing is left of `pub(crate)` and the like.
        path.first()?;
        if let Some(import) = self.imports.get(&path[..1]).filter(|_| inside) {
            path = [import, &path[1..]].concat();
        }
        let (first, second) = (path[0].as_str(), path.get(1).map_or("", String::as_str));
        if let Some((_, may)) = OUTSIDE.iter().find(|(name, _)| *name == first) {
            let re_export = own == "lib" && named.gives.is_some() && named.segments.len() == 1;
            return (!re_export && !lists(may, own))
                .then(|| format!("`{own}` must not use the crate `{first}` (here `{written}`)"));
        }
        if !inside {
            return (own == "plan" && first == "std" && lists(IMPURE, second))
                .then(|| format!("`plan` is pure and must not use `{written}`"));
        }
        if own == "lib" || own == first {
            return None;
        }
        if !self.modules.iter().any(|module| module.first() == path.first()) {
            return Some(format!("`{written}` is neither a module nor re-exported at the root"));
        }
        let Some((_, may)) = MAY_NAME.iter().find(|(name, _)| *name == own) else {
            return Some(format!("module `{own}` has no row in tests/layering/rules.rs"));
        };
        (!lists(may, first) && !lists(may, &format!("{first}::{second}")))
            .then(|| format!("`{own}` must not name `{first}` (here `{written}`)"))
    }

    /// Whether this public item can be had from the crate's root, or from a public module there.
    fn is_exported(&self, source: &Source, name: &str) -> bool {
        let mut root = self.files.iter().filter(|s| s.module.is_empty());
        let shown: Vec<_> = root.next().iter().flat_map(|s| &s.public).map(|(n, _)| n).collect();
        let is_front =
            |s: &Source| s.module.len() < 2 && s.module.iter().all(|m| shown.contains(&m));
        let is_it = |named: &Named| {
            named.public
                && named.segments.last().is_some_and(|last| last == name)
                && self.module(&named.path) == source.module
        };
        let mut fronts = self.files.iter().filter(|s| is_front(s));
        fronts.any(|s| s.module == source.module || s.paths.iter().any(is_it))
    }

    /// The module where a path ends, through what modules on its way import.
    fn module(&self, path: &[String]) -> Vec<String> {
        let (mut path, mut end) = (path.to_vec(), 0);
        // An outside crate or an item may have the name it is imported to, and lead nowhere.
        let mut hops = 0..8;
        while end < path.len() {
            if let Some(import) = self.imports.get(&path[..=end])
                && hops.next().is_some()
            {
                path = [import, &path[end + 1..]].concat();
                end = 0;
            } else if self.modules.contains(&path[..=end]) {
                end += 1;
            } else {
                break;
            }
        }
        path.truncate(end);
        path
    }

    /// Which part of a room names which other, and where. The parts of a folder are its files, each
    /// with the folder of its name. The front of a folder (`mod.rs`) is no part of it: nearly every
    /// front names its files to re-export them, and they name what it holds for all of them.
    fn steps(&self) -> BTreeMap<Step, (&'a str, usize)> {
        let mut out = BTreeMap::new();
        for source in &self.files {
            for named in &source.paths {
                let (from, to) = (&source.module, self.module(&named.path));
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if shared > 0 && shared < from.len().min(to.len()) {
                    let step = (from[..=shared].join("/"), to[..=shared].join("/"));
                    out.entry(step).or_insert((source.file.as_str(), named.line));
                }
            }
        }
        out
    }
}

/// Whether steps lead from one part to the other.
fn leads<'a>(steps: impl Iterator<Item = &'a Step> + Clone, from: &'a str, to: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = next.pop() {
        next.extend(steps.clone().filter(|s| s.0 == at && seen.insert(&s.1)).map(|s| &*s.1));
    }
    seen.contains(to)
}

/// Whether a part is one of this room's own.
fn is_in(part: &str, room: &str) -> bool {
    part.rsplit_once('/').is_some_and(|(own, _)| own == room)
}

/// Everything that is against the rules, with its place.
fn check(all: &[Source]) -> Vec<String> {
    let sources = Sources::new(all);
    let mut out = Vec::new();
    let mut refuse =
        |file: &str, line: usize, rule: String| out.push(format!("{file}:{line}: {rule}"));
    for source in all.iter().filter(|s| s.lines > MOST_LINES) {
        let rule = format!("{} lines, at most {MOST_LINES} are wanted", source.lines);
        refuse(&source.file, source.lines, rule);
    }
    for source in &sources.files {
        let own = source.room();
        // A program may have an outside crate from us: `use channelwise::wgpu`.
        let ours = source.paths.iter().filter(|n| own == "bin" && n.segments[0] == "channelwise");
        let from_us: Vec<_> = ours.filter_map(|n| n.gives.as_ref()?.last()).collect();
        for named in source.paths.iter().filter(|n| !from_us.contains(&&n.segments[0])) {
            if let Some(rule) = sources.broken(own, named) {
                refuse(&source.file, named.line, rule);
            }
        }
        for (name, line) in source.public.iter().filter(|_| !["lib", "bin"].contains(&own)) {
            if !sources.is_exported(source, name) {
                let rule = format!("`{name}` is public, but src/lib.rs does not re-export it");
                refuse(&source.file, *line, rule);
            }
        }
    }
    for ((a, b), (file, line)) in &sources.steps() {
        let Some((room, order)) = ORDER.iter().find(|(room, _)| is_in(a, room)) else { continue };
        let place = |part: &str| order.split(' ').position(|p| part[room.len() + 1..] == *p);
        match (place(a), place(b)) {
            (Some(a), Some(b)) if b < a => {}
            (Some(_), Some(_)) => refuse(file, *line, format!("`{a}` is below `{b}`")),
            (None, _) => refuse(file, *line, format!("`{a}` has no place in its room's order")),
            (_, None) => refuse(file, *line, format!("`{b}` has no place in its room's order")),
        }
    }
    let mut steps = sources.steps();
    steps.retain(|(a, b), _| !BACKWARDS.contains(&(a, b)));
    for ((a, b), (file, line)) in &steps {
        if leads(steps.keys(), b, a) {
            refuse(file, *line, format!("`{a}` names `{b}`, which leads back to it"));
        }
    }
    out
}

/// All files below `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let (mut out, mut folders) = (Vec::new(), vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let file = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                out.push(Source::read(&file, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    out.sort_by(|a, b| a.file.cmp(&b.file));
    out
}

#[test]
fn imports_go_one_way() {
    let sources = sources();
    assert!(sources.len() >= 25, "{} files", sources.len());
    let found = check(&sources);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// The tables name no room and no step that is gone.
#[test]
fn the_tables_are_of_this_crate() {
    let all = sources();
    let sources = Sources::new(&all);
    for name in MAY_NAME.iter().flat_map(|(room, may)| may.split_whitespace().chain([*room])) {
        let room = [name.split("::").next().unwrap().to_string()];
        assert!(sources.modules.contains(room.as_slice()), "there is no module `{room:?}`");
    }
    let steps = sources.steps();
    for (a, b) in BACKWARDS {
        let there = steps.contains_key(&(a.to_string(), b.to_string()));
        assert!(there && leads(steps.keys(), b, a), "no circle any more: {a} names {b}");
    }
}

/// Every rule refuses what breaks it, with the place.
#[test]
fn violations_are_seen() {
    let cases: &[(&str, &str, usize, &str)] = &[
        ("src/border.rs", "\nuse crate::Problem;", 2, "`border` must not name `problem`"),
        ("src/element.rs", "use crate::error::Error;", 1, "`element` must not name `error`"),
        ("src/shape.rs", "use super::Border;", 1, "`shape` must not name `border`"),
        ("src/error.rs", "use crate::Plan;", 1, "`error` must not name `plan`"),
        ("src/error.rs", "use crate::plan::choose;", 1, "`error` must not name `plan`"),
        ("src/conv.rs", "use crate::{\n Border,\n Engine,\n};", 3, "`conv` must not name `engine`"),
        ("src/problem.rs", "fn f(p: &crate::plan::Plan) {}", 1, "`problem` must not name `plan`"),
        ("src/plan/flat.rs", "use crate::gpu::Gpu;", 1, "`plan` must not name `gpu`"),
        ("src/plan/flat.rs", "use super::super::Cpu;", 1, "`plan` must not name `cpu`"),
        ("src/plan/flat.rs", "use std::{fmt, time::Instant};", 1, "`std::time::Instant`"),
        ("src/plan/mod.rs", "fn f() { std::thread::yield_now() }", 1, "`std::thread::yield_now`"),
        ("src/plan/mod.rs", "fn f() { std::env::var(\"X\"); }", 1, "`std::env::var`"),
        ("src/plan/mod.rs", "use wgpu::Limits;", 1, "`plan` must not use the crate `wgpu`"),
        ("src/plan/mod.rs", "use crate::wgpu::Limits;", 1, "`plan` must not use the crate `wgpu`"),
        ("src/cpu/mod.rs", "use crate::gpu::Gpu;", 1, "`cpu` must not name `gpu`"),
        ("src/gpu/mod.rs", "use crate::Cpu;", 1, "`gpu` must not name `cpu`"),
        ("src/plan/mod.rs", "use rayon::prelude::*;", 1, "must not use the crate `rayon`"),
        ("src/gpu/x/y.rs", "use fearless_simd::Level;", 1, "the crate `fearless_simd`"),
        ("src/gpu/mod.rs", "fn f(a: ndarray::Array2<f32>) {}", 1, "the crate `ndarray`"),
        ("src/cpu/mod.rs", "use crate::reference;", 1, "`cpu` must not name `reference`"),
        ("src/engine.rs", "use crate::reference::Expected;", 1, "must not name `reference`"),
        ("src/engine.rs", "use wgpu as w;", 1, "`engine` must not use the crate `wgpu`"),
        ("src/reference.rs", "use crate::Cpu;", 1, "`reference` must not name `cpu`"),
        ("src/reference.rs", "use crate::plan;", 1, "`reference` must not name `plan`"),
        ("src/engine.rs", "use crate::nothing::X;", 1, "neither a module"),
        ("src/newcomer.rs", "use crate::Border;", 1, "`newcomer` has no row"),
        ("src/bin/channelwise/x.rs", "use wgpu::Backends;", 1, "the crate `wgpu`"),
        ("src/lib.rs", "use wgpu::Device;", 1, "`lib` must not use the crate `wgpu`"),
        ("src/gpu/mod.rs", "mod a {\n use super::super::Cpu; }", 2, "`gpu` must not name `cpu`"),
        ("src/cpu/mod.rs", "\n\npub struct Hidden;", 3, "`Hidden` is public"),
        ("src/plan/flat.rs", "pub const fn hidden() {}", 1, "`hidden` is public"),
        ("src/cpu/mod.rs", "fn f() { assert!(crate::gpu::X) }", 1, "`cpu` must not name `gpu`"),
        ("src/cpu/mod.rs", "f! { use {wgpu::X};\nuse wgpu as w; }", 2, "the crate `wgpu`"),
        ("src/plan/limits.rs", "use super::cost::X;", 1, "`plan/limits` names `plan/cost`"),
        ("src/plan/limits.rs", "use super::Traffic;", 1, "`plan/limits` names `plan/cost`"),
        ("src/bin/channelwise/values.rs", "use crate::args;", 1, "which leads back to it"),
        (
            "src/gpu/staging.rs",
            "use super::gradient::X;",
            1,
            "`gpu/staging` is below `gpu/gradient`",
        ),
        ("src/plan/job/params.rs", "use super::chain::X;", 1, "is below `plan/job/chain`"),
        ("src/gpu/newcomer.rs", "use super::range::X;", 1, "`gpu/newcomer` has no place"),
    ];
    let sources = sources();
    for (file, text, line, rule) in cases {
        let mut sources = sources.clone();
        sources.retain(|source| source.file != *file);
        sources.push(Source::read(file, text));
        let (mut found, place) = (check(&sources), format!("{file}:{line}: "));
        found.retain(|told| told.starts_with(&place));
        assert!(
            found.iter().any(|told| told.contains(rule)),
            "{file}: {text}\n  should be refused for: {rule}\n  found {found:?}"
        );
    }
    let long = Source::read("src/border.rs", &"//\n".repeat(MOST_LINES + 1));
    assert!(check(&[long])[0].contains("501 lines"));
}

/// Comments, strings and tests are no code that imports.
#[test]
fn what_is_no_import_is_let_alone() {
    let text = r##"
        //! [`Gpu`](crate::gpu::Gpu) is a link, wgpu::Device too.
        /* use crate::gpu::Gpu; /* nested */ use wgpu::X; */
        fn strings() -> [&'static str; 3] { ["use wgpu::X;", r#"crate::gpu::"Gpu" "#, "\"crate::gpu::Gpu"] }
        fn chars<'a>(c: &'a char) -> bool { *c == '"' || *c == '\'' || *c == '{' }
        pub(crate) fn shown() {}
        pub(super) fn inside(x: Thing) { x.wgpu(); let wgpu = 1; }
        use crate::Border;
        use crate::plan::CpuLaunch;
        #[cfg(test)]
        #[allow(unused)]
        mod tests {
            use crate::gpu::Gpu;
            fn f() { wgpu::x(); }
        }
        #[cfg(test)]
        mod others;
    "##;
    let program =
        "use channelwise::{reference, wgpu};\nfn f(b: wgpu::Backends) { reference::run() }";
    let ours = [
        Source::read("src/cpu/x.rs", text),
        Source::read("src/cpu/x/others.rs", "use crate::gpu::Gpu;"),
        Source::read("src/bin/x.rs", program),
    ];
    let all = [sources(), ours.to_vec()].concat();
    let mut found = check(&all);
    found.retain(|told| ours.iter().any(|source| told.starts_with(&source.file)));
    assert_eq!(found, [""; 0]);
}

#[test]
fn trees_are_read_to_their_leaves() {
    let text = "use a::{b::{self, C as D}, e::*};\npub use f; fn g() { x::y::<Z>(w.v::<u8>()); }";
    let found = Source::read("src/x.rs", text).paths;
    let written: Vec<String> = found.iter().map(|named| named.segments.join("::")).collect();
    assert_eq!(written, ["a::b::self", "a::b::C", "a::e::_", "f", "x::y"]);
    assert_eq!(found[3].line, 2);
}
