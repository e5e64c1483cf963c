"""What can be moved on the pages of losses and pooling: its numbers are those of sercore, and keys move it too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sercore.config import Config
from sercore.network import losses, pooling

KINDS = ("softmax", "ams", "focal", "ams+focal")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
def test_the_losses_are_those_of_sercore(visit, kind, gamma):
    page = visit("losses").settled()
    random = torch.Generator().manual_seed(3)
    config = Config(loss=kind, scale=10.0, margin=0.35, gamma=gamma)
    head = losses.LOSSES[kind](2, 4, config)
    with torch.no_grad():
        head.weight.copy_(torch.randn(4, 2, generator=random))
        if hasattr(head, "bias"):
            head.bias.copy_(torch.randn(4, generator=random))
    head = head.double()
    for _ in range(8):
        feature = torch.randn(1, 2, generator=random).double().requires_grad_()
        label = int(torch.randint(4, (1,), generator=random))
        value = head(feature, torch.tensor([label]))
        head.zero_grad()
        value.backward()
        given = {
            "feature": feature[0].tolist(),
            "weights": head.weight.tolist(),
            "bias": head.bias.tolist() if hasattr(head, "bias") else [0] * 4,
            "label": label,
            "loss": {"kind": kind, "s": 10, "m": 0.35, "gamma": gamma},
        }
        found = page.evaluate(
            """({ feature, weights, bias, label, loss }) => {
                const given = sercoreLosses.scores(feature, weights, bias, loss);
                const made = sercoreLosses.criterion(given, label, loss);
                return { given, value: made.value, ...sercoreLosses.through(feature, weights, made.slopes, loss) };
            }""",
            given,
        )
        assert found["given"] == pytest.approx(head.scores(feature)[0].tolist(), rel=1e-6)
        assert found["value"] == pytest.approx(value.item(), rel=1e-6, abs=1e-12)
        assert np.allclose(found["feature"], feature.grad[0], rtol=1e-6, atol=1e-9)
        assert np.allclose(found["weights"], head.weight.grad, rtol=1e-6, atol=1e-9)


def test_the_ground_that_a_margin_keeps_empty_is_where_no_feature_satisfies_it(visit):
    page = visit("losses").settled()
    for between, margin in ((90, 0.1), (90, 0.4), (60, 0.4), (30, 0.6)):
        half, found = between / 2, page.evaluate("([between, margin]) => sercoreLosses.empty(between, margin)", [between, margin])
        turns = np.radians(np.linspace(-half, half, 2001))  # about the middle between the two weights
        lead = np.cos(turns - np.radians(half)) - np.cos(turns + np.radians(half))
        held = np.degrees(turns[np.abs(lead) >= margin])
        assert found == pytest.approx(np.abs(held).min() if len(held) else half, abs=0.1)


def test_the_network_learns_and_a_margin_makes_it_compact(visit):
    page = visit("losses").settled()
    page.locator(".sercore-plane").scroll_into_view_if_needed()

    def trained(kind: str) -> tuple[float, float]:
        return page.evaluate(
            """kind => {
                const { toy } = document.querySelector(".sercore-plane");
                toy.running = false;
                toy.loss.kind = kind;
                toy.begin();
                for (let step = 0; step < 300; step++) toy.network.step(toy.points, toy.loss);
                toy.last = 0;
                toy.draw();
                const right = toy.points.filter(({ place, label }) => toy.label(toy.network.forward(place)[3]) === label);
                return [toy.compact, right.length];
            }""",
            kind,
        )

    (soft, right), (narrow, also) = trained("softmax"), trained("ams")
    assert right > 250 and also > 250
    assert narrow < 0.7 * soft


def test_sliders_move_by_keys_and_say_so(visit):
    page = visit("losses").settled()
    assert page.locator("#toy-m").is_disabled() and page.locator("#toy-gamma").is_disabled()
    page.locator("#toy-kind").select_option("ams+focal")
    slider = page.locator("#toy-m")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.querySelector('.sercore-plane').toy.loss.m") == pytest.approx(0.45)
    assert page.locator(".toy-control", has=slider).locator(".toy-value").inner_text() == "0.45"
    page.wait_for_function("() => document.querySelector('.toy-planes figure:last-child canvas').ariaLabel.includes('AMS')")


def test_sixty_pictures_a_second(visit):
    page = visit("losses").settled()
    cost = page.evaluate(
        """() => {
            const { toy } = document.querySelector(".sercore-plane"), begin = performance.now();
            toy.loss.kind = "ams+focal";
            for (let i = 0; i < 40; i++) { toy.network.step(toy.points, toy.loss); toy.draw(); }
            return (performance.now() - begin) / 40;
        }"""
    )
    print(f"a step and its picture: {cost:.1f} ms")
    assert np.isfinite(cost)  # how fast is a matter of the machine; it is told


def test_the_pooling_is_that_of_sercore(visit):
    page = visit("pooling").settled()
    hidden, heights = page.evaluate(
        "() => { const { toy } = document.querySelector('.sercore-pull'); return [toy.data.hidden, toy.heights]; }"
    )
    for pulled in (heights, [1.0] * len(heights), [0.0] * (len(heights) - 1) + [1.0]):
        weights = torch.tensor(pulled, dtype=torch.float64)[None]
        weights, states = weights / weights.sum(), torch.tensor(hidden, dtype=torch.float64)[None]
        mean = pooling.weighted_mean(states, weights)
        found = page.evaluate(
            "([hidden, heights]) => sercorePooling.pooled(hidden, sercorePooling.shares(heights))", [hidden, pulled]
        )
        assert np.allclose(found["mean"], mean[0])
        assert np.allclose(found["deviation"], pooling.weighted_deviation(states, weights, mean)[0])


def test_attention_is_pulled_by_keys_and_by_the_pointer(visit):
    page = visit("pooling").settled()
    bars = page.locator(".toy-bar")
    bars.first.focus()
    before = page.locator(".toy-facts dd").first.inner_text()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => [...document.querySelectorAll('.toy-bar')].indexOf(document.activeElement)") == 1
    page.keyboard.press("End")
    assert bars.nth(1).get_attribute("aria-valuenow") == "100"
    page.get_by_role("button", name="The last step alone").click()
    assert page.locator(".toy-facts dd").nth(1).inner_text() == "0.001"  # the deviation of one step
    assert page.locator(".toy-facts dd").first.inner_text() != before
    box = page.locator(".toy-bars").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5 / bars.count(), box["y"] + box["height"] / 2)
    assert 40 <= int(bars.first.get_attribute("aria-valuenow")) <= 60
