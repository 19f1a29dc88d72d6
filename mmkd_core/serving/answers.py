"""Lists as JSON. What stands for an item is written once, when an export is read; an answer puts pieces together."""

from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii
from pathlib import Path
from urllib.parse import quote

import numpy as np

from mmkd_core.serving.catalogue import Best, Catalogue
from mmkd_core.serving.problems import Problem
from mmkd_core.serving.shown import Shown
from mmkd_core.settings import quoted


class Answers:
    """What one version of an export answers. Raises `Problem` for a request that has no answer."""

    def __init__(self, catalogue: Catalogue, shown: Shown) -> None:
        self.catalogue, self.shown = catalogue, shown
        self._pieces = [self._piece(number) for number in range(len(catalogue.item_names))]

    def _piece(self, number: int) -> bytes:
        names = self.catalogue.item_names
        text, piece = names.texts[number], f'{{"item":{names.json(number)}'
        if text in self.shown.titles:
            piece += f',"title":{encode_basestring_ascii(self.shown.titles[text])}'
        if text in self.shown.pictures:
            piece += f',"picture":{encode_basestring_ascii("/pictures/" + quote(text, safe=""))}'
        return piece.encode()

    def summary(self) -> str:
        """What is served, in words."""
        catalogue = self.catalogue
        (users, dim), items = catalogue.users.shape, len(catalogue.item_names)
        model, name = catalogue.card["experiment"]["model"], catalogue.card["data"]["name"]
        return f"{model} of {name}, {users:,} users × {items:,} items, {dim}-d"

    def plain(self, user: str, k: int) -> bytes | None:
        """The body for a user who is known and has a history; else None."""
        catalogue = self.catalogue
        number = catalogue.user_names.number(user)
        if number < 0 or not len(catalogue.seen(number)):
            return None
        listed = self._listed(catalogue.for_user(number, k))
        return b'{"user":%b,"items":[%b]}' % (self._spelt(number), listed)

    def recommend(self, user: str, k: int) -> bytes:
        """The best items for a user."""
        body = self.plain(user, k)
        if body is None:
            self._user(user)
            raise Problem(404, f"user {quoted(user)} has no training history, so there is no taste to rank by; POST "
                               "the items that were chosen to /recommend")  # fmt: skip
        return body

    def similar(self, item: str, k: int) -> bytes:
        """The items nearest to one."""
        number = self._item(item)
        listed = self._listed(self.catalogue.near(number, k))
        return b'{"item":%b,"items":[%b]}' % (self.catalogue.item_names.json(number).encode(), listed)

    def history(self, user: str, k: int) -> bytes:
        """What a user has seen."""
        number = self._user(user)
        seen = self.catalogue.seen(number)
        pieces = b",".join(self._pieces[item] + b"}" for item in seen[:k])
        return b'{"user":%b,"count":%d,"items":[%b]}' % (self._spelt(number), len(seen), pieces)

    def users(self, beginning: str, k: int) -> bytes:
        """Some users who have a history."""
        names, seen = self.catalogue.user_names, self.catalogue.seen
        some = [names.json(user) for user in names.beginning(beginning, k) if len(seen(user))]
        return f'{{"users":[{",".join(some)}]}}'.encode()

    def for_items(
        self, chosen: Sequence[str | int], k: int, allow: Sequence[str | int] | None, deny: Sequence[str | int] | None
    ) -> bytes:
        """The best items for somebody who chose these. Ids that are no items are told, and change nothing."""
        if self.catalogue.folding is None:
            raise Problem(404, "no user of this export has a history, so how to fold choices in is not known")
        unknown: dict[str | int, None] = {}
        numbers = self._known("items", chosen, unknown)
        left_out = np.zeros(len(self._pieces), bool)
        if allow is not None:
            left_out[:] = True
            left_out[self._known("allow", allow, unknown)] = False
        if deny:
            left_out[[number for one in deny if (number := self._number(one, unknown)) >= 0]] = True
        left_out[numbers] = True
        if left_out.all():
            raise Problem(422, "body: allow, deny and items leave no item; expected one at least that may be shown")
        listed = self._listed(self.catalogue.for_items(numbers, k, left_out))
        ids = ",".join(str(one) if isinstance(one, int) else encode_basestring_ascii(one) for one in unknown)
        return b'{"items":[%b],"unknown":[%b]}' % (listed, ids.encode())

    def picture(self, item: str) -> tuple[Path, str]:
        """The file of an item's picture, and its kind."""
        self._item(item)
        if item not in self.shown.pictures:
            raise Problem(404, f"item {quoted(item)} has no picture")
        return self.shown.pictures[item]

    def _spelt(self, user: int) -> bytes:
        return self.catalogue.user_names.json(user).encode()

    def _listed(self, best: Best) -> bytes:
        pieces = self._pieces
        places = zip(best.items.tolist(), best.scores.tolist(), strict=True)
        return b",".join([pieces[item] + b',"score":%.7g}' % score for item, score in places])

    def _number(self, item: str | int, unknown: dict[str | int, None]) -> int:
        number = self.catalogue.item_names.number(item)
        if number < 0:
            unknown[item] = None
        return number

    def _known(self, field: str, ids: Iterable[str | int], unknown: dict[str | int, None]) -> np.ndarray:
        found = [number for one in ids if (number := self._number(one, unknown)) >= 0]
        if not found:
            raise Problem(422, f"body.{field}: no item of {self.catalogue.card['data']['name']} among these; expected "
                               "ids as its data have them")  # fmt: skip
        return np.unique(found)

    def _user(self, user: str) -> int:
        return self._id("user", self.catalogue.user_names.number(user), user)

    def _item(self, item: str) -> int:
        return self._id("item", self.catalogue.item_names.number(item), item)

    def _id(self, kind: str, number: int, text: str) -> int:
        if number < 0:
            data = self.catalogue.card["data"]["name"]
            raise Problem(404, f"{kind} {quoted(text)} of {data}: no such id; expected one as its data have them")
        return number
