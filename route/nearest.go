package route

// nearest is the word among those that each yields which differs least from name, or
// "" if none is near enough to be meant. Of equally near words it is the first in
// alphabetical order, so that messages do not change from run to run.
func nearest(name string, each func(yield func(string))) string {
	best, bestDistance := "", 1+min(max(2, len(name)/3), len(name)-1)
	each(func(word string) {
		d := editDistance(name, word)
		if d < bestDistance || d == bestDistance && best != "" && word < best {
			best, bestDistance = word, d
		}
	})
	return best
}

// editDistance is the number of bytes to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
