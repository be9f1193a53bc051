package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	ofLibraries = "/rest/com/vmware/content/library"
	ofOvf       = "/rest/com/vmware/vcenter/ovf/library-item"
)

var libraryCall = regexp.MustCompile(
	`^(GET|POST) /api/(content/library|vcenter/ovf/library-item|vcenter/vm-template/library-items)` +
		`(/item)?(?:/([^/]+))?(/storage)?$`)

// completeLibraries answers what is asked of content libraries under /api; see completeRest.
func (h *host) completeLibraries(seen *call, next http.Handler) http.Handler {
	found := libraryCall.FindStringSubmatch(seen.name)
	if found == nil {
		return next
	}
	verb, part, items, id, storage := found[1], found[2], found[3], found[4], found[5]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if strings.HasPrefix(part, "vcenter/vm-template") {
			h.deployTemplate(w, r, next, id, body)
			return
		}
		asked := restCall{
			verb: verb, path: ofLibraries + items, action: r.URL.Query().Get("action"),
			isCollection: id == "", body: body,
		}
		if asked.action == "find" {
			asked.body = wrapped("spec", body)
		}
		if strings.HasPrefix(part, "vcenter/ovf") {
			asked.path = ofOvf
		}
		switch {
		case storage != "":
			asked.path += "/storage"
			asked.isCollection = true
			query := r.URL.Query()
			query.Set("library_item_id", id)
			r.URL.RawQuery = query.Encode()
		case id != "":
			asked.path += "/id:" + id
		}
		said := asked.send(next, r)
		if storage != "" {
			said = h.onDatastores(said)
		}
		if asked.action == "find" {
			none := bytes.Replace(said.Body.Bytes(), []byte(`"value":null`), []byte(`"value":[]`), 1)
			said.Body = bytes.NewBuffer(none)
		}
		asked.answer(w, said)
	})
}

// onDatastores has the files of an item be where a vCenter says that they are: the simulator tells
// its own folders.
func (h *host) onDatastores(said *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	var told struct {
		Value []map[string]any `json:"value"`
	}
	if said.Code != http.StatusOK || json.Unmarshal(said.Body.Bytes(), &told) != nil {
		return said
	}
	for _, file := range told.Value {
		backing, _ := file["storage_backing"].(map[string]any)
		id, _ := backing["datastore_id"].(string)
		reference := types.ManagedObjectReference{Type: "Datastore", Value: id}
		datastore, ok := h.context().Map.Get(reference).(*simulator.Datastore)
		if !ok {
			continue
		}
		uris, _ := file["storage_uris"].([]any)
		for i, uri := range uris {
			text, _ := uri.(string)
			inside, _ := strings.CutPrefix(text, datastore.Info.GetDatastoreInfo().Url)
			uris[i] = "ds:///vmfs/volumes/" + id + "/" + strings.TrimPrefix(inside, "/") + "?serverId=lab"
		}
	}
	whole, _ := json.Marshal(told)
	said.Body = bytes.NewBuffer(whole)
	return said
}

// deployTemplate deploys a VM template as a machine, where the simulator makes another template.
func (h *host) deployTemplate(
	w http.ResponseWriter, r *http.Request, next http.Handler, id string, body []byte,
) {
	asked := restCall{verb: r.Method, body: wrapped("spec", body)}
	request := r.Clone(r.Context())
	request.URL.Path = "/rest/vcenter/vm-template/library-items/" + id
	request.Body = io.NopCloser(bytes.NewReader(asked.body))
	request.ContentLength = int64(len(asked.body))
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, request)
	var made struct {
		Value string `json:"value"`
	}
	var spec struct {
		Placement struct {
			Pool string `json:"resource_pool"`
		} `json:"placement"`
	}
	_ = json.Unmarshal(body, &spec)
	if json.Unmarshal(answer.Body.Bytes(), &made) == nil {
		own := h.context()
		reference := types.ManagedObjectReference{Type: "VirtualMachine", Value: made.Value}
		if machine, ok := own.Map.Get(reference).(*simulator.VirtualMachine); ok {
			own.Map.WithLock(own, machine, func() {
				machine.MarkAsVirtualMachine(&types.MarkAsVirtualMachine{
					This: reference,
					Pool: types.ManagedObjectReference{
						Type: "ResourcePool", Value: spec.Placement.Pool,
					},
				})
			})
		}
	}
	asked.answer(w, answer)
}
