//! Jobs as tables, without a device.
