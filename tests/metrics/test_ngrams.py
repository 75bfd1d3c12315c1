"""Counts as a language model: a law of the next word, the paper's numbers by hand, and what it is for."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from energy_gan.metrics.ngrams import KneserNey
from energy_gan.vocabulary import END

WORDS = 5


def text(n, seed=0, length=4):
    rows = torch.randint(0, WORDS, (n, length), generator=torch.Generator().manual_seed(seed)).float()
    rows[:, 0] = 2
    return rows.masked_fill((rows == END).cumsum(1) > 0, END)


def test_probabilities_of_the_next_word_sum_to_one_after_any_two():
    model = KneserNey(text(30), WORDS)
    for a, b in product(range(WORDS + 1), repeat=2):  # the last number is what is before a sentence
        grams = (a * model.base + b) * model.base + np.arange(WORDS)
        assert np.exp(model._log_prob(grams)).sum() == pytest.approx(1), (a, b)


def test_a_text_of_few_words_has_the_numbers_of_the_formula():
    """Of 'a b', 'a b', 'a c' in rows of 2, cut: D = 1/3, 1 and 1/2 from the longest, p(b | · a) by hand."""
    rows = torch.tensor([[2.0, 3], [2, 3], [2, 4]])
    model = KneserNey(rows, WORDS)
    three, two, one = (level.discount for level in model.levels[::-1])
    assert (three, two, one) == (1 / 3, 1.0, 1.0)  # grams once and twice: 1, 1; then types: all once
    p1 = 0 / 3 + 1 * 3 / 3 / WORDS
    p2 = 0 / 2 + 1 * 2 / 2 * p1
    p3 = (2 - three) / 3 + three * 2 / 3 * p2
    assert model.log_prob(torch.tensor([[2.0, 3]]))[1] == pytest.approx(math.log(p3))


def test_a_text_is_likelier_under_its_own_law_than_one_that_lacks_a_part_of_it():
    train, held_out = text(2_000), text(500, seed=1)
    half = train[(train != 4).all(1)]
    whole, part = (KneserNey(rows, WORDS).perplexity(held_out) for rows in (train, half))
    assert whole < 0.9 * part
    assert whole == pytest.approx(math.exp(-KneserNey(train, WORDS).log_prob(held_out).mean()))
    assert KneserNey(train, WORDS).perplexity(half) < whole  # what lacks variety is fluent
