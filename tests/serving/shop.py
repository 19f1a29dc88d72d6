"""A folder of a shop whose users and items have ids of their own, and a record trained on it, for tests of serving."""

import pyarrow as pa
import pyarrow.parquet as pq
from made_up_folder import ITEMS, USERS, write_folder

from mmkd_core import plan, run

WITHOUT_HISTORY = USERS - 1


def user_id(user):
    return f"u{user:02}é"


def item_id(item):
    return f"B{item:03}"


def write_ids_beside(folder, user_id=user_id, item_id=item_id):
    """Ids of all users and items, in an order of their own."""
    rows = [("item", item, item_id(item)) for item in reversed(range(ITEMS))]
    rows += [("user", user, user_id(user)) for user in range(USERS)]
    return put_ids(folder, pa.table(dict(zip(("kind", "number", "id"), zip(*rows, strict=True), strict=True))))


def put_ids(folder, table):
    """What `mmkd import` writes beside the data: `ids.parquet`, and a card by which it is known to be no data."""
    (folder / "card.json").write_text("{}")
    pq.write_table(table, ids_of(folder))
    return folder


def ids_of(folder):
    return folder / "ids.parquet"


def recorded(folder, store, model="lightgcn", **options):
    """The file of a record of one epoch, its weights beside it."""
    fit = {} if model in ("popularity", "itemknn") else {"epochs": 1}
    return run(plan(model, str(folder), fit=fit, options=options), store).file(store)


def made(folder, ids=True):
    """(folder, record) of a shop."""
    shop = write_folder(folder / "shop")
    return (write_ids_beside(shop) if ids else shop), recorded(shop, folder / "store")
