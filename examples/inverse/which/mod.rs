//! The option `--engine` of examples.

use channelwise::{Engine, Result};
use clap::ValueEnum;

#[derive(Clone, Copy, ValueEnum)]
pub enum Which {
    Cpu,
    Gpu,
    Auto,
}

impl Which {
    pub fn engine(self) -> Result<Engine> {
        match self {
            Self::Cpu => Ok(Engine::cpu()),
            Self::Gpu => Engine::gpu(),
            Self::Auto => Ok(Engine::auto()),
        }
    }
}
