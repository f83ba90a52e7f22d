"""Calls one function of a module by wasmtime, whose packages lie in the first folder given."""

import sys

packages, module, function = sys.argv[1:]
sys.path.insert(0, packages)

import wasmtime

store = wasmtime.Store()
instance = wasmtime.Instance(store, wasmtime.Module.from_file(store.engine, module), [])
try:
    instance.exports(store)[function](store)
    print("returned")
except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
    print("trapped:", trap)
