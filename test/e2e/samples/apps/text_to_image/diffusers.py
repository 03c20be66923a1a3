"""Stands for the package: its pipeline draws one pixel for each prompt, the same for the same seed."""

import random


class Drawn:
    def __init__(self, shade: int) -> None:
        self.shade = shade

    def save(self, file, format: str) -> None:
        file.write(f"{format} of shade {self.shade}".encode())


class Images:
    def __init__(self, images: list) -> None:
        self.images = images


class StableDiffusion3Pipeline:
    @classmethod
    def from_pretrained(cls, model: str, **_options) -> "StableDiffusion3Pipeline":
        assert model != ""
        return cls()

    def to(self, device: str) -> "StableDiffusion3Pipeline":
        assert device == "cuda"
        return self

    def __call__(self, prompt: str, num_images_per_prompt: int, **_options) -> Images:
        return Images([Drawn(random.randrange(256)) for _ in range(num_images_per_prompt)])
