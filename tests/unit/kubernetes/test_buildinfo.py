"""What a Go program says of its modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhallmark.errors import FormatError
from dhallmark.kubernetes.buildinfo import Module, read_build_info

START, END = bytes.fromhex("3077af0c9274080241e1c107e6d618e6"), bytes.fromhex("f932433186182072008242104116d8f2")
TEXT = b"""\
path\tgithub.com/fluxcd/source-controller
mod\tdhallmark/ci/tools/source-controller\t(devel)\t
dep\tgithub.com/fluxcd/pkg/artifact\tv0.18.3
=>\t./artifact\t(devel)\t
dep\tgithub.com/fluxcd/source-controller\tv1.9.6\th1:abc=
dep\tgithub.com/opencontainers/go-digest\tv1.0.0
=>\tgithub.com/opencontainers/go-digest\tv1.0.1\th1:x=
build\t-trimpath=true
"""


def test_a_stand_in_is_told_by_the_program_itself(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"\x7fELF" + START + TEXT + END + b"rest")
    info = read_build_info(tmp_path / "program")
    assert info.package == "github.com/fluxcd/source-controller"
    assert info.version_of("github.com/fluxcd/source-controller") == "1.9.6"
    assert info.version_of("dhallmark/ci/tools/source-controller") == ""
    assert info.stand_ins == (Module("github.com/fluxcd/pkg/artifact", "v0.18.3", "./artifact"),)
    assert info.modules[-1].replaced_by == "github.com/opencontainers/go-digest@v1.0.1"


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", START, END + START])
def test_another_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "program").write_bytes(content)
    with pytest.raises(FormatError, match="not a Go program"):
        read_build_info(tmp_path / "program")
