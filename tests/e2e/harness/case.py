"""Test cases over one tree. The depth comes from HASP_DEPTH, so that CTest runs each file at several."""
import os
import sys
import unittest

from .tree import Tree

CHAINS = {1: ["center"], 2: ["center", "tokyo"], 3: ["head", "center", "tokyo"], 4: ["head", "region", "center", "tokyo"]}


def depth() -> int:
    return int(os.environ.get("HASP_DEPTH") or 2)


# For files that run at several depths: a deeper tree shows nothing more here (of large streams, tiers4 does).
depth_adds_nothing = unittest.skipUnless(depth() == 2, "a deeper tree adds nothing: it runs at depth 2")


class TreeCase(unittest.TestCase):
    """The tests of a class share a tree: a chain of depth() tiers, gates on its links. furnish() fills it once."""
    longMessage = True
    config = ""
    tree = None

    @classmethod
    def setUpClass(cls):
        cls.tree = Tree(CHAINS[depth()], config=cls.config)
        try:
            cls.furnish()
        except BaseException:
            for tier in cls.tree.tiers:
                print(f"--- {tier.name}\n{tier.log()}", file=sys.stderr)
            cls.tree.close()
            raise

    @classmethod
    def furnish(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        cls.close_backends()
        trouble = cls.tree.close()
        assert not trouble, "\n".join(trouble)

    @classmethod
    def close_backends(cls):
        backend = getattr(cls, "backend", None)
        if backend is not None:
            backend.close()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result else 0
        value = super().run(result)
        if result and len(result.failures) + len(result.errors) > before and self.tree:
            for tier in self.tree.tiers:
                print(f"--- {tier.name} after {self.id()}\n{tier.log()}", file=sys.stderr)
        return value


def main():
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2, module="__main__")
