from portkey_mcp.gateway.shelf import Shelf


def test_the_longest_unused_thing_goes_when_there_are_too_many() -> None:
    shelf: Shelf[int] = Shelf(2, 100)
    shelf.put("a", 1)
    shelf.put("b", 2)
    assert shelf.get("a") == 1
    shelf.put("c", 3)

    assert (shelf.get("a"), shelf.get("b"), shelf.get("c")) == (1, None, 3)


def test_the_longest_unused_things_go_until_the_rest_is_light_enough() -> None:
    shelf: Shelf[int] = Shelf(10, 100)
    for key in ("a", "b", "c"):
        shelf.put(key, 1, 30)
    shelf.put("d", 1, 60)

    assert [key for key in "abcd" if shelf.get(key)] == ["c", "d"]


def test_what_is_put_in_its_own_place_weighs_once() -> None:
    shelf: Shelf[int] = Shelf(10, 100)
    shelf.put("a", 1, 40)
    for number in range(5):
        shelf.put("b", number, 60)

    assert (shelf.get("a"), shelf.get("b")) == (1, 4)


def test_what_alone_is_too_heavy_is_not_kept() -> None:
    shelf: Shelf[int] = Shelf(10, 100)
    shelf.put("a", 1, 101)
    assert shelf.get("a") is None

    shelf.put("b", 2, 100)
    shelf.drop("b")
    shelf.drop("b")
    shelf.put("c", 3, 100)
    assert (shelf.get("b"), shelf.get("c")) == (None, 3)
