"""Whose pictures are shown: licence and source of each, from the COCO file that lists them. Knows no torch."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.tables import read_table, write_table
from datamodules.images import path_to_key

CREDITS_FILE = "credits.csv"
WEB = ("https://", "http://")


class Credit(NamedTuple):
    """Hold what a COCO file says of the rights of one picture; empty where it says nothing."""

    image: str
    license: str
    license_url: str
    source: str


def coco_credits(annotations: Path, keys: Iterable[str]) -> list[Credit]:
    """Return the credits of those of some pictures whose licence a COCO file names, in the order of `keys`."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    licenses = {str(entry["id"]): entry for entry in content.get("licenses") or () if "id" in entry}
    images = {path_to_key(str(entry["file_name"])): entry for entry in content["images"]}
    named = ((key, images[key], str(images[key].get("license"))) for key in keys if key in images)
    return [_credit(key, image, licenses[number]) for key, image, number in named if number in licenses]


def _credit(key: str, image: Mapping[str, Any], license_: Mapping[str, Any]) -> Credit:
    source = image.get("flickr_url") or image.get("coco_url")
    return Credit(key, str(license_.get("name") or ""), _web(license_.get("url")), _web(source))


def _web(address: object) -> str:
    """Return an address of the web, empty for anything else, which a page must not link."""
    text = str(address or "")
    return text if text.startswith(WEB) else ""


def write_credits(folder: Path, annotations: Path, keys: Iterable[str]) -> None:
    """Write the credits of the pictures in a folder beside them, where a COCO file names any; others stay there."""
    known = read_credits(folder) | {credit.image: credit for credit in coco_credits(annotations, keys)}
    if known:
        write_table(folder / CREDITS_FILE, Credit._fields, [known[key] for key in sorted(known)])


def read_credits(folder: Path) -> dict[str, Credit]:
    """Return the credits of the pictures in a folder, by image; none where there is no such table."""
    path = folder / CREDITS_FILE
    if not path.is_file():
        return {}
    lines = ({name: line.get(name) or "" for name in Credit._fields} for line in read_table(path))
    return {
        line["image"]: Credit(line["image"], line["license"], _web(line["license_url"]), _web(line["source"]))
        for line in lines
    }
