"""Images, sound, moderations and rerank, asked by OpenAI's and Cohere's own SDKs, unmodified."""

import base64
import io
import struct
import wave

import cohere
import openai
import pytest


@pytest.fixture(scope="module")
def client(weir):
    return openai.OpenAI(base_url=weir.url + "/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def co(weir):
    return cohere.ClientV2(api_key="any", base_url=weir.url)


def sound(seconds: int, name: str = "a.wav") -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(struct.pack("<h", 0) * 16_000 * seconds)
    file.seek(0)
    file.name = name
    return file


def picture() -> io.BytesIO:
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(100))
    file.name = "a.png"
    return file


def test_images_generated(client):
    made = client.images.generate(model="demo/image", prompt="a weir", n=2, size="1024x1024", quality="low")
    assert len(made.data) == 2 and base64.b64decode(made.data[0].b64_json).startswith(b"\x89PNG")
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0


def test_images_streamed(client):
    events = list(client.images.generate(model="demo/image", prompt="a weir", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert events[-1].usage.output_tokens > 0


def test_images_edited_and_varied(client):
    edited = client.images.edit(model="demo/image", prompt="more water", image=[picture(), picture()], mask=picture())
    assert edited.usage.input_tokens_details.image_tokens > 0 and edited.data[0].b64_json
    varied = client.images.create_variation(model="demo/image", image=picture(), n=2)
    assert len(varied.data) == 2


def test_speech_whole_and_as_it_comes(client):
    spoken = client.audio.speech.create(model="demo/speech", input="naïve water", voice="alloy")
    whole = spoken.read()
    assert whole.startswith(b"ID3") and spoken.response.headers["content-type"] == "audio/mpeg"
    assert spoken.response.headers["x-weir-provider"] == "demo"
    with client.audio.speech.with_streaming_response.create(model="demo/speech", input="naïve water", voice="alloy") as answer:
        pieces = list(answer.iter_bytes(1000))
    assert b"".join(pieces) == whole and len(pieces) > 1


def test_transcriptions_in_each_form(client):
    plain = client.audio.transcriptions.create(model="demo/transcribe", file=sound(3))
    assert "river" in plain.text and plain.usage.seconds == 3
    verbose = client.audio.transcriptions.create(model="demo/transcribe", file=sound(3), response_format="verbose_json")
    assert verbose.duration == 3 and verbose.segments[0].text == verbose.text
    for form, part in (("text", "river"), ("srt", "00:00:03,000"), ("vtt", "WEBVTT")):
        assert part in client.audio.transcriptions.create(model="demo/transcribe", file=sound(3), response_format=form)
    english = client.audio.translations.create(model="demo/transcribe", file=sound(3))
    assert english.text == plain.text


def test_a_large_file_is_heard_to_its_end(client):
    # Larger than what is kept in memory: it goes on while it comes.
    heard = client.audio.transcriptions.create(model="demo/transcribe", file=sound(120), response_format="verbose_json")
    assert heard.duration == 120


def test_moderations(client):
    for model in ({}, {"model": "demo/moderation"}):
        if not model:
            with pytest.raises(openai.NotFoundError):
                client.moderations.create(input="x")  # OpenAI's default, and no OpenAI is configured
            continue
        found = client.moderations.create(input=["hello", "I will kill you"], **model)
        assert [result.flagged for result in found.results] == [False, True]
        assert found.results[1].categories.violence and found.results[1].category_scores.violence > 0.5


def test_rerank_by_cohere(co, weir):
    documents = ["penguins live in the south", "a weir in the river", "physics"]
    ranked = co.rerank(model="demo/rerank", query="river weir", documents=documents, top_n=2)
    assert [result.index for result in ranked.results][0] == 1 and len(ranked.results) == 2
    assert ranked.meta.billed_units.search_units == 1
    older = cohere.Client(api_key="any", base_url=weir.url)
    first = older.rerank(model="demo/rerank", query="river weir", documents=documents, return_documents=True)
    assert first.results[0].document.text == documents[1]


def test_errors_are_the_sdks_own(client, co):
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="nobody/knows", prompt="x")
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="demo/speech", input="", voice="alloy")
    assert refused.value.param == "input"
    with pytest.raises(cohere.errors.NotFoundError):
        co.rerank(model="nobody/knows", query="q", documents=["a"])


def test_spend_has_their_costs(client, weir):
    before = weir.spend("--by", "model")["total"]["calls"]
    client.images.generate(model="demo/image", prompt="a weir", n=3)
    client.audio.speech.create(model="demo/speech", input="x" * 100, voice="alloy").read()
    rows = {row["model"]: row for row in weir.spend_when(before + 2, "--by", "model")["rows"]}
    assert float(rows["image"]["cost_usd"]) > 0 and float(rows["speech"]["cost_usd"]) > 0
    assert all(row["unpriced_calls"] == 0 for name, row in rows.items() if name in ("image", "speech", "transcribe", "rerank"))
