"""API keys as they are kept: what a file of them may say, and how one is added and removed."""

import hashlib
import stat
from pathlib import Path

import pytest

from components.errors import KeysError
from components.serving.keys import add, keys_of, new_key, read_keys, remove


def test_what_is_kept_of_a_key_is_its_hash(tmp_path: Path):
    """The key has 256 random bits, and stands in no file."""
    key, kept = new_key("shop", ["label", "predict"])

    add(tmp_path / "keys", kept)

    text = (tmp_path / "keys").read_text()
    assert key.startswith("ek_")
    assert len(key) == len("ek_") + 43  # 32 bytes in base64
    assert key not in text
    assert text == f"shop predict,label sha256:{hashlib.sha256(key.encode()).hexdigest()}\n"
    assert keys_of(tmp_path / "keys") == {kept.sha256: kept}
    assert new_key("shop", ["label"])[0] != key


def test_a_file_of_keys_is_for_its_owner_alone(tmp_path: Path):
    """Whatever the umask of whoever makes it."""
    add(tmp_path / "keys", new_key("shop", ["predict"])[1])

    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_lines_and_comments_around_a_key_stay_when_it_goes(tmp_path: Path):
    """A file that a person keeps is changed by one line only, and keeps its mode."""
    file = tmp_path / "keys"
    old, new = new_key("shop", ["predict"])[1], new_key("shop-2", ["predict"])[1]
    file.write_text(f"# the shop\n\n{old.line()} # old\n# the end")
    file.chmod(0o640)
    add(file, new)

    remove(file, "shop")

    assert file.read_text() == f"# the shop\n\n# the end\n{new.line()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_keys_may_stand_in_one_line(tmp_path: Path):
    """As an environment variable holds them."""
    first, second = new_key("shop", ["predict"])[1], new_key("scraper", ["admin"])[1]

    found = read_keys(f"{first.line()}; {second.line()} ;", where="EVERFIT_API_KEYS")

    assert found == {first.sha256: first, second.sha256: second}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shop predict ek_secret", "line 2: wanted sha256: and 64 hexadecimal digits for shop, found something else"),
        ("shop ek_secret", "line 2: wanted a name, scopes and sha256:HASH, found 2 words"),
        (f"sh/op predict sha256:{'a' * 64}", "line 2: wanted a name of at most 64 letters"),
        (f"shop root sha256:{'a' * 64}", "line 2: wanted scopes out of predict, label, admin for shop"),
        (f"first label sha256:{'a' * 64}", "line 2: wanted each name and each key once, found first again"),
    ],
)
def test_a_line_that_is_no_key_is_told_without_its_text(line: str, said: str):
    """Someone may have put the key itself there, so only the number of the line is told."""
    text = f"first predict sha256:{'b' * 64}\n{line}"

    with pytest.raises(KeysError, match=said) as caught:
        read_keys(text, where="keys")

    assert "ek_secret" not in str(caught.value)


def test_a_name_is_given_once_and_a_missing_one_is_told(tmp_path: Path):
    """Two keys of one name could not be told apart when one of them must go."""
    file = tmp_path / "keys"
    add(file, new_key("shop", ["predict"])[1])

    with pytest.raises(KeysError, match=r"wanted a new name in .*keys, found shop there already"):
        add(file, new_key("shop", ["label"])[1])
    with pytest.raises(KeysError, match=r"wanted the key nobody in .*keys, found no such name"):
        remove(file, "nobody")
    with pytest.raises(KeysError, match="cannot be read"):
        remove(tmp_path / "none", "shop")
    with pytest.raises(KeysError, match="wanted scopes out of predict, label, admin for shop"):
        new_key("shop", ["predict", "root"])
