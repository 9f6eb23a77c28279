//! What the library shows, and whether the page of each type and function has an example.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Attribute, Expr, Fields, ImplItem, Item, Lit, Meta, TraitItem, Type, UseTree, Visibility,
};

/// A type or function that can be named from outside.
pub struct Public {
    /// From the crate's root, by the name it has there.
    pub path: String,
    pub example: bool,
}

pub struct Crate {
    files: BTreeMap<Vec<String>, syn::File>,
    /// Types by module, of which a method that is public has an example.
    by_method: BTreeSet<String>,
}

impl Crate {
    pub fn new<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let read = |(file, text): (&str, &str)| {
            let names = file.trim_start_matches("src/").trim_end_matches(".rs").split('/');
            let module = names.filter(|name| !["lib", "mod"].contains(name)).map(String::from);
            (
                module.collect(),
                syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")),
            )
        };
        let files: BTreeMap<_, _> = sources.into_iter().map(read).collect();
        let by_method = files.values().flat_map(|file| &file.items).filter_map(method_example);
        Self { by_method: by_method.collect(), files }
    }

    /// All that is public, by path.
    pub fn public(&self) -> Vec<Public> {
        let mut out = BTreeMap::new();
        self.show(&[], &[], &mut out);
        out.into_iter().map(|(path, example)| Public { path, example }).collect()
    }

    /// Notes what `module` shows under the path `shown`.
    fn show(&self, module: &[String], shown: &[String], out: &mut BTreeMap<String, bool>) {
        let Some(file) = self.files.get(module) else { return };
        for item in &file.items {
            match item {
                Item::Mod(inner) if is_public(&inner.vis) && !hidden(&inner.attrs) => {
                    let name = inner.ident.to_string();
                    self.show(&with(module, &name), &with(shown, &name), out);
                }
                Item::Use(names) if is_public(&names.vis) && !hidden(&names.attrs) => {
                    for (path, name) in leaves(&names.tree) {
                        if let Some(example) = self.example(module, &path, 8) {
                            out.insert(with(shown, &name).join("::"), example);
                        }
                    }
                }
                other => {
                    if let Some((vis, attrs, name)) = declared(other)
                        && is_public(vis)
                        && !hidden(attrs)
                    {
                        let example = self.has_example(other, &name);
                        out.insert(with(shown, &name).join("::"), example);
                    }
                }
            }
        }
    }

    /// Whether what this path of an import in `module` names has an example; none if it is of another crate.
    fn example(&self, module: &[String], path: &[String], hops: usize) -> Option<bool> {
        let (mut at, mut path) = (module.to_vec(), path);
        while let Some((first, rest)) = path.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                name if self.files.contains_key(&with(&at, name)) && !rest.is_empty() => {
                    at.push(name.into())
                }
                name => {
                    let items = rest.is_empty().then(|| &self.files[&at].items)?;
                    return items.iter().find_map(|item| match item {
                        Item::Use(names) if hops > 0 => {
                            let leaf =
                                leaves(&names.tree).into_iter().find(|(_, given)| given == name)?;
                            self.example(&at, &leaf.0, hops - 1)
                        }
                        other => {
                            let (_, attrs, declared) = declared(other)?;
                            (declared == name && !hidden(attrs))
                                .then(|| self.has_example(other, name))
                        }
                    });
                }
            }
            path = rest;
        }
        None
    }

    fn has_example(&self, item: &Item, name: &str) -> bool {
        let (own, parts): (_, Vec<&[Attribute]>) = match item {
            Item::Struct(i) => (&i.attrs, fields(&i.fields)),
            Item::Enum(i) => (&i.attrs, i.variants.iter().map(|v| &*v.attrs).collect()),
            Item::Trait(i) => (&i.attrs, i.items.iter().filter_map(trait_docs).collect()),
            Item::Fn(i) => (&i.attrs, Vec::new()),
            Item::Type(i) => (&i.attrs, Vec::new()),
            _ => return false,
        };
        is_example(own) || parts.into_iter().any(is_example) || self.by_method.contains(name)
    }
}

/// The name of a type of which this block shows a method with an example.
fn method_example(item: &Item) -> Option<String> {
    let Item::Impl(block) = item else { return None };
    let Type::Path(of) = &*block.self_ty else { return None };
    let shown = |item: &ImplItem| matches!(item, ImplItem::Fn(f) if is_public(&f.vis) && !hidden(&f.attrs) && is_example(&f.attrs));
    let any = block.trait_.is_none() && block.items.iter().any(shown);
    any.then(|| of.path.segments.last().map(|last| last.ident.to_string()))?
}

/// Whether docs hold a block of code that the doc tests compile.
fn is_example(attrs: &[Attribute]) -> bool {
    let mut inside = false;
    docs(attrs).iter().flat_map(|doc| doc.lines()).any(|line| {
        let Some(language) = line.trim().strip_prefix("```") else { return false };
        inside = !inside;
        let words = language.split(',').map(str::trim);
        inside && words.clone().all(|word| ["", "rust", "no_run", "should_panic"].contains(&word))
    })
}

fn docs(attrs: &[Attribute]) -> Vec<String> {
    let doc = |attr: &Attribute| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    attrs.iter().filter_map(doc).collect()
}

fn hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        matches!(&attr.meta, Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden")
    })
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn with(path: &[String], name: &str) -> Vec<String> {
    [path, &[name.to_string()]].concat()
}

fn fields(fields: &Fields) -> Vec<&[Attribute]> {
    fields.iter().map(|field| &*field.attrs).collect()
}

fn trait_docs(item: &TraitItem) -> Option<&[Attribute]> {
    match item {
        TraitItem::Fn(f) => Some(&f.attrs),
        _ => None,
    }
}

/// What has a page of its own.
fn declared(item: &Item) -> Option<(&Visibility, &[Attribute], String)> {
    let (vis, attrs, name) = match item {
        Item::Struct(i) => (&i.vis, &i.attrs, &i.ident),
        Item::Enum(i) => (&i.vis, &i.attrs, &i.ident),
        Item::Trait(i) => (&i.vis, &i.attrs, &i.ident),
        Item::Fn(i) => (&i.vis, &i.attrs, &i.sig.ident),
        Item::Type(i) => (&i.vis, &i.attrs, &i.ident),
        _ => return None,
    };
    Some((vis, attrs, name.to_string()))
}

/// Every leaf of an import: its path, and the name it gives.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let mut inner = leaves(&path.tree);
            inner.iter_mut().for_each(|(leaf, _)| leaf.insert(0, path.ident.to_string()));
            inner
        }
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Name(leaf) => vec![(vec![leaf.ident.to_string()], leaf.ident.to_string())],
        UseTree::Rename(leaf) => vec![(vec![leaf.ident.to_string()], leaf.rename.to_string())],
        UseTree::Glob(_) => Vec::new(),
    }
}
