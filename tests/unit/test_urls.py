"""Addresses: the names of their files, and how they are told."""

import pytest

from lgem.urls import file_name, masked


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://zenodo.org/records/1/files/a.h5ad?download=1", "a.h5ad"),
        ("https://a.org/x/b%20c+d.csv.gz#top", "b_c+d.csv.gz"),
        ("https://a.org/datafile/123", "123"),
        ("https://a.org/x/", ""),
        ("https://a.org/..%2F..%2F.profile", "profile"),
    ],
)
def test_a_file_is_called_by_the_last_part_of_the_path(url, name):
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.org/b?download=1#c", "https://a.org/b?download=1#c"),
        ("https://me:p%40ss@a.org:8080/b", "https://***@a.org:8080/b"),
        ("https://a.org/b?acc=1&access_token=x", "https://a.org/b?acc=1&access_token=***"),
        ("https://a.org/b?X-Amz-Signature=x&key=", "https://a.org/b?X-Amz-Signature=***&key=***"),
    ],
)
def test_passwords_and_keys_are_hidden(url, told):
    assert masked(url) == told
