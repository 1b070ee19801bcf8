//! Takes the place of the demo origin, the machine's probe and the run itself until they are
//! joined to this branch; `main.rs` calls nothing else from here.

use spliceway::address::Address;
use spliceway::capacity::{Machine, Plan};
use spliceway::load::Loaded;

/// The addresses that the demo origin will have.
pub(crate) struct Demo {
    pub(crate) web: Address,
    pub(crate) echo: Address,
}

impl Demo {
    pub(crate) fn start() -> Demo {
        Demo {
            web: Address::Abstract("demo-web".to_owned()),
            echo: Address::Abstract("demo-echo".to_owned()),
        }
    }
}

pub(crate) fn machine() -> Machine {
    Machine {
        kernel: "6.1.0".to_owned(),
        page_size: 4096,
        cpus: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        splice: Ok(()),
        pipe_size_max: 1 << 20,
        pipe_user_pages_soft: 16_384,
        pipe_limits_waived: false,
        descriptors_max: 65_536,
    }
}

#[allow(clippy::needless_pass_by_value)]
pub(crate) fn run(
    _loaded: Loaded,
    _plan: Plan,
    _machine: Machine,
    _demo: Option<Demo>,
) -> Result<(), String> {
    Err("this branch cannot run yet".to_owned())
}
