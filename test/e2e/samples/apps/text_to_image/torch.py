"""Stands for the package."""

import random

bfloat16 = "bfloat16"


def manual_seed(seed: int) -> None:
    random.seed(seed)


class cuda:
    @staticmethod
    def empty_cache() -> None:
        pass
