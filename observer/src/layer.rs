//! The isolation stack.

/// The layer in which a thing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Hardware assist.
    L0,
    /// Full virtualization.
    L1,
    /// Paravirtualization.
    L2,
    /// Containers.
    L3,
    /// Sandboxes: Wasm engines, second kernels.
    L4,
    /// Below or beside the stack.
    Host,
}

impl Layer {
    pub const ALL: [Layer; 6] = [Layer::L0, Layer::L1, Layer::L2, Layer::L3, Layer::L4, Layer::Host];

    pub fn of(name: &str) -> Option<Layer> {
        Layer::ALL.into_iter().find(|layer| layer.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Layer::L0 => "L-0",
            Layer::L1 => "L-1",
            Layer::L2 => "L-2",
            Layer::L3 => "L-3",
            Layer::L4 => "L-4",
            Layer::Host => "host",
        }
    }
}
