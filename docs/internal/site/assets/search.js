// The search: all words that are typed must begin a word of a section. Sections
// whose heading has them come first. The index is loaded when the field is used.
"use strict";
(() => {
	const base = document.currentScript.dataset.base;
	const field = document.getElementById("search");
	const list = document.getElementById("results");
	const menu = document.getElementById("menu");
	if (matchMedia("(min-width: 50rem)").matches) menu.open = true;

	let loading;
	function load() {
		loading ??= new Promise((resolve, reject) => {
			const script = document.createElement("script");
			script.src = base + "assets/search-index.js";
			script.onload = () => resolve(searchIndex);
			script.onerror = reject;
			document.head.append(script);
		});
		return loading;
	}

	function words(text) {
		return text.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean);
	}

	function score(section, wanted) {
		const heading = words(section.page + " " + section.heading);
		const text = words(section.text);
		let sum = 0;
		for (const w of wanted) {
			const inHeading = heading.some((x) => x.startsWith(w));
			const inText = text.filter((x) => x.startsWith(w)).length;
			if (!inHeading && inText === 0) return 0;
			sum += (inHeading ? 10 : 0) + Math.min(inText, 5);
		}
		return sum;
	}

	// extract is the text around the first of the words.
	function extract(text, wanted) {
		const at = Math.max(0, Math.min(...wanted.map((w) => {
			const i = text.toLowerCase().indexOf(w);
			return i < 0 ? Infinity : i;
		}).concat(text.length)));
		const from = Math.max(0, at - 40);
		return (from > 0 ? "…" : "") + text.slice(from, from + 140) + (from + 140 < text.length ? "…" : "");
	}

	function show(index) {
		const wanted = words(field.value);
		list.replaceChildren();
		list.hidden = wanted.length === 0;
		if (list.hidden) return;
		const found = index.map((s) => [score(s, wanted), s]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]).slice(0, 12);
		for (const [, s] of found) {
			const a = document.createElement("a");
			a.href = base + s.link;
			a.append(s.heading === s.page ? s.page : s.page + " › " + s.heading);
			const small = document.createElement("small");
			small.textContent = extract(s.text, wanted);
			a.append(small);
			const item = document.createElement("li");
			item.append(a);
			list.append(item);
		}
		if (found.length === 0) {
			const p = document.createElement("p");
			p.textContent = "Nothing found.";
			list.append(p);
		}
	}

	field.addEventListener("focus", load);
	field.addEventListener("input", () => load().then(show));
	document.addEventListener("keydown", (e) => {
		const links = [...list.querySelectorAll("a")];
		const at = links.indexOf(document.activeElement);
		if (e.key === "/" && document.activeElement !== field) {
			e.preventDefault();
			field.focus();
		} else if (e.key === "Escape") {
			list.hidden = true;
		} else if (e.key === "Enter" && document.activeElement === field && links.length > 0) {
			location.href = links[0].href;
		} else if ((e.key === "ArrowDown" || e.key === "ArrowUp") && !list.hidden && (at >= 0 || document.activeElement === field)) {
			e.preventDefault();
			(links[at + (e.key === "ArrowDown" ? 1 : -1)] ?? field).focus();
		}
	});
	document.addEventListener("click", (e) => {
		if (!e.target.closest("search")) list.hidden = true;
	});
})();
