//! The public API as a list, a line for each item, compared with the one that is kept: what changes for those
//! who depend on the crate is seen in a diff. `sh tests/api/run.sh` makes what it reads.

use std::process::ExitCode;
use std::{env, fs};

/// What derives write, told by the `impl` above them.
const OF_DERIVES: [&str; 5] = [
    "::clone(&self) ->",
    "::default() ->",
    "::eq(&self, &",
    "::fmt(&self, &mut core::fmt::Formatter<'_>)",
    "::hash<__H",
];

/// Traits that compilers give by what a type holds. Those of panics follow what other crates hold.
const IMPLIED: [&str; 6] =
    ["marker::Send", "marker::Sync", "Unpin", "UnwindSafe", "Freeze", "StructuralPartialEq"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [described, kept] = &arguments[..] else {
        println!("this compares what rustdoc describes with a list: sh tests/api/run.sh");
        return ExitCode::FAILURE;
    };
    let api = public_api::Builder::from_rustdoc_json(described).omit_blanket_impls(true).build();
    let api = api.unwrap_or_else(|error| panic!("{described}: {error}"));
    let now: Vec<String> =
        api.items().map(ToString::to_string).filter(|item| tells(item)).collect();
    assert!(now.len() > 500, "{} items are not all of them", now.len());
    if env::var_os("UPDATE").is_some() {
        fs::write(kept, now.join("\n") + "\n").unwrap_or_else(|error| panic!("{kept}: {error}"));
        return ExitCode::SUCCESS;
    }
    let list = fs::read_to_string(kept).unwrap_or_else(|error| panic!("{kept}: {error}"));
    let list: Vec<&str> = list.lines().collect();
    let gone =
        list.iter().filter(|item| !now.iter().any(|other| other == *item)).map(|item| ('-', *item));
    let new =
        now.iter().filter(|item| !list.contains(&item.as_str())).map(|item| ('+', item.as_str()));
    let differing: Vec<_> = gone.chain(new).collect();
    for (sign, item) in &differing {
        println!("{sign} {item}");
    }
    if !differing.is_empty() {
        println!(
            "The public API is not as {kept} has it. If that is meant: UPDATE=1 sh tests/api/run.sh"
        );
        return ExitCode::FAILURE;
    }
    println!("{kept}: {} items as listed", list.len());
    ExitCode::SUCCESS
}

/// Whether an item says something that others do not. Nearly every type is `Send` and `Sync`, so that those are
/// listed which are not.
fn tells(item: &str) -> bool {
    let of = item.split(" for ").next().unwrap_or(item);
    let implied = item.starts_with("impl") && IMPLIED.iter().any(|name| of.ends_with(name));
    let stays = of.contains('!') && (of.ends_with("Send") || of.ends_with("Sync"));
    (!implied || stays) && !OF_DERIVES.iter().any(|of| item.contains(of))
}
